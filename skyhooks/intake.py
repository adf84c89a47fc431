"""Taking webhooks in: check the signature, read one webhook or a batch into drafts, say what became of each.

Everyone who answers ``POST /hooks`` does it by these rules, a gateway and an app alike; only the commit in between is
their own. A 2xx means that everything in the request is settled for good. One webhook is answered 200 or a problem; a
batch is answered 200 with one item a line, of which some may be refused.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from skyhooks.errors import Refused
from skyhooks.publication import Draft, Outcome
from skyhooks.signature import Secret, verify
from skyhooks.webhook import NDJSON, draft_of, parse_webhook

JSON: Final = "application/json"


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one webhook. `positions` are where it stands in each of its channels."""

    id: str
    status: str
    positions: dict[str, str] = {}
    code: str = ""
    detail: str = ""


class Accepted(msgspec.Struct, frozen=True):
    """The answer to webhooks: `notified` who listen here, and each item in the order in which it came."""

    status: str
    notified: int
    items: list[Item]


class Batch:
    """What one request brought: drafts to commit, and in their places the items that are refused already."""

    def __init__(self, parsed: Sequence[Draft | Item]) -> None:
        self._parsed = parsed
        self.drafts = [one for one in parsed if isinstance(one, Draft)]

    def answer(self, outcomes: Sequence[Outcome], listeners: Callable[[str], int]) -> Accepted:
        """The answer once the log has decided; `listeners` tells how many a channel has here.

        Those of a channel count once, however much of the batch was stored in it; a duplicate notifies nobody.
        """
        settled = list(zip(self.drafts, outcomes, strict=True))
        items = iter([_item(draft, outcome) for draft, outcome in settled])
        channels = {name for draft, outcome in settled if outcome.status == "stored" for name in draft.channels}
        merged = [one if isinstance(one, Item) else next(items) for one in self._parsed]
        return Accepted("ok", sum(map(listeners, channels)), merged)


class Intake:
    """Reads requests.

    With `verify_with`, each must be signed by one of these secrets; without, anyone may post. `clock` gives seconds
    since 1970. A batch holds up to `most` webhooks.
    """

    def __init__(self, *, verify_with: tuple[Secret, ...], clock: Callable[[], float], most: int) -> None:
        self._secrets = verify_with
        self._clock = clock
        self._most = most

    def read(self, headers: Mapping[str, str], body: bytes) -> Batch:
        """Read one request; `headers` have lower-case names.

        Raises `Refused`: what `verify`, `parse_webhook` and `draft_of` raise, ``bad_content_type`` (415) and
        ``bad_batch`` (400, or 413 for one that is too long).
        """
        if self._secrets:
            verify(self._secrets, headers, body, self._clock())
        kind = headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if kind == NDJSON:
            return self._batch(body)
        if kind == JSON:
            return Batch([draft_of(parse_webhook(body), fallback_id())])
        raise Refused("bad_content_type", f"a webhook is {JSON}, a batch {NDJSON}; got {kind[:80]!r}", 415)

    def _batch(self, body: bytes) -> Batch:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if not 0 < len(lines) <= self._most:
            raise Refused(
                "bad_batch",
                f"a batch is 1 to {self._most} webhooks, one a line; got {len(lines)}",
                413 if lines else 400,
            )
        return Batch([_read(line) for line in lines])


def fallback_id() -> str:
    """An id for a publication that came without one."""
    return secrets.token_hex(16)


def unavailable() -> Refused:
    """The answer while the log cannot commit: nothing was acknowledged, come again."""
    detail = "the log cannot commit now; nothing was acknowledged, send it again"
    return Refused("store_unavailable", detail, 503, {"Retry-After": "1"})


def _read(line: bytes) -> Draft | Item:
    try:
        webhook = parse_webhook(line)
    except Refused as error:
        return Item("", "refused", {}, error.code, error.detail)
    try:
        return draft_of(webhook, fallback_id())
    except Refused as error:
        return Item(webhook.id, "refused", {}, error.code, error.detail)


def _item(draft: Draft, outcome: Outcome) -> Item:
    return Item(draft.id, outcome.status, {name: str(position) for name, position in outcome.positions.items()})
