"""The body of ``POST /hooks``: what a worker says to a gateway, and how it becomes a draft for the log.

One webhook is a JSON object in the original skyhooks shape, ``{"keys": {"account_id": "acme"}, "data": …}``; a
batch is one such object a line (``application/x-ndjson``). Results add their ``id`` and their ``task`` mark.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from skyhooks.channel import account_channel, account_name, task_channel
from skyhooks.errors import Refused, shown
from skyhooks.publication import Draft, TaskMark

NDJSON: Final = "application/x-ndjson"
MAX_ID: Final = 200
ID_PATTERN: Final = rf"[ -~]{{1,{MAX_ID}}}"

_ID = re.compile(rf"{ID_PATTERN}\Z")


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One item: for whom (`keys`: ``account_id`` and/or ``task_id``), and what (`data`, any JSON).

    `id` is the publication's id; without one the gateway draws one, and then sending it again publishes it again.
    """

    keys: Mapping[str, str | int | float]
    data: msgspec.Raw
    id: str = ""
    task: TaskMark | None = None


_decoder = msgspec.json.Decoder(Webhook)


def compact(body: bytes) -> bytes:
    """`body`, which must be one JSON text, without white space between its parts.

    Raises `Refused` (``bad_json``) for anything that is not JSON in UTF-8.
    """
    try:
        body.decode("utf-8")
        msgspec.json.decode(body, type=msgspec.Raw)
        return msgspec.json.format(body, indent=-1)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise Refused("bad_json", f"the body is not JSON in UTF-8: {error}") from error


def parse_webhook(line: bytes) -> Webhook:
    """Read one webhook. Raises `Refused` (``bad_json`` or ``bad_webhook``)."""
    try:
        line.decode("utf-8")
        return _decoder.decode(line)
    except msgspec.ValidationError as error:
        raise Refused("bad_webhook", f'a webhook is {{"keys": {{"account_id": …}}, "data": …}}: {error}') from error
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise Refused("bad_json", f"the body is not JSON in UTF-8: {error}") from error


def encode_webhook(
    keys: Mapping[str, str | int | float], data: Any, publication_id: str = "", task: TaskMark | None = None
) -> bytes:
    """One webhook as compact JSON. Raises `TypeError` or `ValueError` when `data` cannot be JSON."""
    return msgspec.json.encode(Webhook(keys, msgspec.Raw(msgspec.json.encode(data)), publication_id, task))


def publication_name(text: str) -> str:
    """`text` itself, when it can be a publication's id; it may travel in a header, where only ASCII is safe.

    Raises `Refused` (``bad_id``).
    """
    if not _ID.match(text):
        raise Refused("bad_id", f"an id is 1 to {MAX_ID} printable ASCII characters; got {shown(text)}")
    return text


def draft_of(webhook: Webhook, fallback_id: str) -> Draft:
    """The draft that a webhook asks for.

    Raises `Refused` (``bad_keys``, ``bad_account``, ``bad_task_id``, ``bad_id``, ``bad_json``).
    """
    unknown = sorted(set(webhook.keys) - {"account_id", "task_id"})
    if unknown or not webhook.keys:
        came = f"unknown {', '.join(unknown)[:80]}" if unknown else "none"
        raise Refused("bad_keys", f"keys are account_id, task_id or both; got {came}")
    channels = []
    if "task_id" in webhook.keys:
        channels.append(task_channel(webhook.keys["task_id"]))
    if "account_id" in webhook.keys:
        channels.append(account_channel(account_name(webhook.keys["account_id"])))
    if webhook.task is not None and "task_id" not in webhook.keys:
        raise Refused("bad_keys", "a webhook with a task mark names the task: keys.task_id is missing")
    publication_id = publication_name(webhook.id) if webhook.id else fallback_id
    return Draft(id=publication_id, channels=tuple(channels), data=compact(bytes(webhook.data)), task=webhook.task)
