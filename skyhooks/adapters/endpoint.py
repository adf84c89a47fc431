"""What an app answers to workers: ``POST hooks`` takes webhooks in, ``GET readyz`` tells that it is there.

The frameworks' modules turn their requests into `Endpoint.answer` and its `Answer` into their responses; everything
that is decided is decided here, so that all of them answer alike, and as a gateway does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from skyhooks.adapters.limits import Limits
from skyhooks.errors import Refused, StoreError, shown
from skyhooks.intake import JSON, Intake, unavailable
from skyhooks.problem import PROBLEM, problem_body
from skyhooks.publication import Draft, Outcome
from skyhooks.signature import Secret

log = structlog.get_logger()

HOOKS: Final = "hooks"
READY: Final = "readyz"
METHODS: Final = {HOOKS: ("POST",), READY: ("GET", "HEAD")}


class Answer(msgspec.Struct, frozen=True):
    """One whole response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Endpoint:
    """Answers requests below an app's mount point.

    `append` commits drafts and tells the watcher; `listeners` counts the callbacks of a channel. `clock` gives seconds
    since 1970. Without `verify_with` anyone who reaches it may post, but no web page.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Draft]], Sequence[Outcome]],
        listeners: Callable[[str], int],
        *,
        verify_with: tuple[Secret, ...],
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._append = append
        self._listeners = listeners
        self._limits = limits
        self._intake = Intake(verify_with=verify_with, clock=clock, most=limits.batch_items)

    @property
    def body_bytes(self) -> int:
        """The most bytes of a body that are worth reading: one more than is accepted."""
        return self._limits.body_bytes + 1

    def refusal(self, method: str, name: str, length: str | None = None) -> Answer | None:
        """The answer that a request gets by its head alone, None when its body has to be read.

        `name` is what follows the mount point and its slash, `length` the value of Content-Length.
        """
        try:
            if name not in METHODS:
                raise Refused("not_found", f"there is nothing at {shown(name)}; workers post to {HOOKS}", 404)
            if method not in METHODS[name]:
                allowed = ", ".join(METHODS[name])
                detail = f"{name} takes {allowed}; got {method[:20]}"
                raise Refused("method_not_allowed", detail, 405, {"Allow": allowed})
            if length is not None and length.isascii() and length.isdigit() and int(length[:20]) >= self.body_bytes:
                raise self._too_large()
        except Refused as refused:
            return self._refused(refused)
        return None

    def answer(self, method: str, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request; `headers` have lower-case names. Blocks until the commit, and does not raise."""
        refusal = self.refusal(method, name)
        if refusal is not None:
            return refusal
        if name == READY:
            return Answer(200, {"Content-Type": JSON, "Cache-Control": "no-store"}, b'{"status":"ready"}')
        try:
            return self._take(headers, body)
        except Refused as refused:
            return self._refused(refused)
        except StoreError as error:
            log.warning("webhook_not_committed", error=str(error))
            return self._refused(unavailable())
        except Exception:
            log.exception("webhook_failed")
            return self._refused(Refused("internal_error", "something went wrong here; the app's log says what", 500))

    def _take(self, headers: Mapping[str, str], body: bytes) -> Answer:
        if len(body) >= self.body_bytes:
            raise self._too_large()
        if "origin" in headers:
            # Workers send none, and a browser must not post for a page that is open in it (RFC 6454 section 7).
            raise Refused("bad_origin", "webhooks come from workers, not from web pages", 403)
        batch = self._intake.read(headers, body)
        outcomes = self._append(batch.drafts) if batch.drafts else []
        accepted = batch.answer(outcomes, self._listeners)
        return Answer(200, {"Content-Type": JSON}, msgspec.json.encode(accepted))

    def _too_large(self) -> Refused:
        return Refused("body_too_large", f"a body has up to {self._limits.body_bytes} bytes", 413)

    @staticmethod
    def _refused(refused: Refused) -> Answer:
        log.warning("request_refused", code=refused.code, status=refused.status)
        return Answer(refused.status, {"Content-Type": PROBLEM, **refused.headers}, problem_body(refused))
