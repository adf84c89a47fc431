"""The JSON schemas of everything that travels over HTTP, made from the Structs that encode and decode it.

What a Struct's types cannot say, because a name is checked behind the decoder, is added here from the patterns that
check it.
"""

from typing import Any, Final

import msgspec

from gateway.api.catalogue import OfferedTask
from gateway.api.control import Status
from gateway.api.hooks import Registration
from gateway.api.journal import Entries
from gateway.api.problems import Problem
from gateway.api.tasks import Submission
from gateway.channels import Published
from gateway.cluster.census import Draining, Nodes, Presence
from gateway.submit import Submitted
from skyhooks.channel import ACCOUNT_PATTERN, CHANNEL_PATTERN, MAX_ACCOUNT, MAX_CHANNEL
from skyhooks.intake import Accepted
from skyhooks.publication import POSITION_PATTERN
from skyhooks.registry import KEY_PATTERN, MAX_KEYS, MAX_URL, URL_PATTERN
from skyhooks.store.base import Hook
from skyhooks.webhook import ID_PATTERN, Webhook

Schema = dict[str, Any]

TEMPLATE: Final = "#/components/schemas/{name}"
STRUCTS: Final = (
    *(Accepted, Draining, Entries, Hook, Nodes, OfferedTask, Presence, Problem, Published, Registration, Status),
    *(Submission, Submitted, Webhook),
)


def text(pattern: str, example: str, **more: Any) -> Schema:
    """A string that matches the whole of `pattern`."""
    return {"type": "string", "pattern": f"^(?:{pattern})$", "examples": [example], **more}


# An integer is taken for its decimal digits.
_INTEGER: Final = {"type": "integer", "minimum": 1 - 10 ** (MAX_ACCOUNT - 1), "maximum": 10**MAX_ACCOUNT - 1}
_NOT_DOTS: Final = {"not": {"pattern": r"(?:^|/)\.{1,2}(?:/|$)"}}

ACCOUNT: Final = text(ACCOUNT_PATTERN, "acme", **_NOT_DOTS)
CHANNEL: Final = text(CHANNEL_PATTERN, "accounts/acme", maxLength=MAX_CHANNEL, **_NOT_DOTS)
POSITION: Final = text(f"0|{POSITION_PATTERN}", "0")
NAME: Final = {"anyOf": [ACCOUNT, _INTEGER]}
WEBHOOK_KEYS: Final = {
    "type": "object",
    "properties": {"account_id": NAME, "task_id": NAME},
    "additionalProperties": False,
    "minProperties": 1,
}
HOOK_KEYS: Final = {
    "type": "object",
    "propertyNames": text(KEY_PATTERN, "account_id"),
    "additionalProperties": NAME,
    "minProperties": 1,
    "maxProperties": MAX_KEYS,
}
GAP: Final = {
    "type": "object",
    "properties": {"from": POSITION, "to": POSITION},
    "required": ["from", "to"],
    "description": "What lies after `from` up to and including `to` is no longer kept.",
}


def reference(struct: type) -> Schema:
    """Where the schema of a Struct stands."""
    return {"$ref": TEMPLATE.format(name=struct.__name__)}


def listing(field: str, struct: type) -> Schema:
    """An object with one field, a list of Structs."""
    properties = {field: {"type": "array", "items": reference(struct)}}
    return {"type": "object", "properties": properties, "required": [field]}


def components() -> dict[str, Schema]:
    """Every schema by its name."""
    _, made = msgspec.json.schema_components(STRUCTS, ref_template=TEMPLATE)
    schemas: dict[str, Schema] = {**made, "Line": _line()}
    webhook, hook = schemas["Webhook"], schemas["Registration"]["properties"]
    webhook["properties"] |= {"keys": WEBHOOK_KEYS, "id": {"anyOf": [{"const": ""}, text(ID_PATTERN, "order-7")]}}
    # A task mark says something of a task, so the task is named.
    named = {"properties": {"keys": {"required": ["task_id"]}}}
    webhook["anyOf"] = [{"properties": {"task": {"type": "null"}}}, named]
    hook |= {"keys": HOOK_KEYS, "url": text(URL_PATTERN, "https://app.example/hooks", maxLength=MAX_URL)}
    schemas["Submission"]["properties"]["account"] = {"anyOf": [NAME, {"type": "null"}], "default": None}
    return schemas


def _line() -> Schema:
    data = {"description": "what was published: any JSON"}
    shown = {"properties": {"position": POSITION, "data": data}, "required": ["position"], "type": "object"}
    gap = {"properties": {"gap": GAP}, "required": ["gap"], "type": "object"}
    about = "A publication, or (without data) where a subscriber stands; or the notice of a gap."
    return {"description": about, "oneOf": [shown, gap]}
