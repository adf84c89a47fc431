"""The bases of all handlers: who may ask, how a body is read, and how everything that goes wrong is answered.

Whatever is refused is answered as problem+json (RFC 9457) with a stable ``code`` and leaves one line in the log. A
traceback is written only for errors of our own.
"""

import re
from collections.abc import Collection
from types import TracebackType
from typing import Any, ClassVar, Final, TypeVar

import msgspec
import structlog
from tornado.web import HTTPError, RequestHandler

from gateway.api.control import Control
from gateway.auth import check_host, check_origin
from gateway.edge.request import problem
from skyhooks.errors import Refused, StoreError

T = TypeVar("T")

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_JSON = re.compile(r"application/json\s*(;\s*charset=\"?utf-8\"?\s*)?\Z", re.IGNORECASE)

log = structlog.get_logger()


class Answering(RequestHandler):
    """A handler that refuses strange hosts and foreign pages, and says in one form what went wrong."""

    guarded: ClassVar[bool] = True
    code = ""

    def set_default_headers(self) -> None:
        """No sniffing, framing, referrer or caching, and no word of what answers."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        """Check Host and, where something may change, Origin. Raises `Refused`."""
        if not self.guarded:
            return
        check_host(self.request.host, self.settings["hosts"])
        if self.request.method not in SAFE_METHODS:
            check_origin(self.request.headers.get("Origin"), self.request.host, self.settings["origins"])

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with problem+json, whatever was raised."""
        refusal = self._refusal(status_code, (kwargs.get("exc_info") or (None, None, None))[1])
        self.code = refusal.code
        answer = problem(refusal)
        self.set_status(answer.status)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        self.finish(answer.body)

    def log_exception(
        self,
        typ: "type[BaseException] | None",
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Write a traceback for our own errors only; `log_answer` has a line for the others."""
        if not isinstance(value, Refused | HTTPError | StoreError):
            log.error("request_failed", method=self.request.method, path=self.request.path, exc_info=value)

    def _refusal(self, status: int, error: BaseException | None) -> Refused:
        if isinstance(error, Refused):
            return error
        if isinstance(error, StoreError):
            return Refused("store_unavailable", "the store cannot do this now; nothing was changed", 503, _AGAIN)
        if status == 404 or not self._methods():
            return Refused("not_found", f"there is nothing at {self.request.path[:200]}", 404)
        if status == 405:
            allow = ", ".join(self._methods())
            detail = f"{self.request.path[:200]} takes {allow}; got {self.request.method}"
            return Refused("method_not_allowed", detail, 405, {"Allow": allow})
        if status < 500:
            return Refused("bad_request", f"the request cannot be understood: {error}", status)
        return Refused("internal_error", "something went wrong here; the gateway's log says what", status)

    def _methods(self) -> list[str]:
        missing = RequestHandler._unimplemented_method
        return [name for name in self.SUPPORTED_METHODS if getattr(type(self), name.lower()) is not missing]


class ApiHandler(Answering):
    """A handler under ``/api/``, with the node's `control`."""

    def initialize(self, control: Control) -> None:
        """Called by Tornado with what the route carries."""
        self.control = control

    def body(self, decoder: msgspec.json.Decoder[T], expected: str) -> T:
        """The request's body, which must be JSON of the decoder's type; `expected` shows one that is.

        Raises `Refused`: ``bad_content_type`` (415), ``bad_json``, ``bad_body``.
        """
        given = self.request.headers.get("Content-Type", "")
        if not _JSON.match(given):
            raise Refused("bad_content_type", f"the body is application/json; got {given[:80] or 'no type'!r}", 415)
        try:
            return decoder.decode(self.request.body)
        except msgspec.ValidationError as error:
            raise Refused("bad_body", f"the body is {expected}: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused("bad_json", f"the body is not JSON in UTF-8: {error}") from error

    def query(self, names: Collection[str]) -> dict[str, str]:
        """The query's parameters, each of `names` at most once. Raises `Refused` (``bad_query``)."""
        given = self.request.query_arguments
        if unknown := sorted(set(given) - set(names)):
            known = ", ".join(names) or "no parameters"
            raise Refused("bad_query", f"{self.request.path} takes {known}; got {', '.join(unknown)[:80]}")
        if repeated := sorted(name for name, values in given.items() if len(values) > 1):
            raise Refused("bad_query", f"{', '.join(repeated)} is given more than once")
        try:
            return {name: self.get_query_argument(name, strip=False) for name in given}
        except HTTPError as error:
            raise Refused("bad_query", f"a query is UTF-8 once its percent-encoding is undone: {error}") from error

    def answer(self, value: object, status: int = 200) -> None:
        """Finish with `value` as JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(value))


class UnknownPath(Answering):
    """Every path that has no handler."""

    def prepare(self) -> None:
        """Refuse, whatever the method."""
        super().prepare()
        raise HTTPError(404)


def log_answer(handler: RequestHandler) -> None:
    """Tornado's ``log_function``: one line for an answer, quiet for those that went well."""
    request, status = handler.request, handler.get_status()
    fields = {"method": request.method, "path": request.path, "status": status, "remote": request.remote_ip}
    if status < 400:
        log.debug("request_answered", **fields)
    elif status != 500:  # that one is in the log with its traceback
        log.warning("request_refused", code=getattr(handler, "code", ""), **fields)


_AGAIN = {"Retry-After": "1"}
