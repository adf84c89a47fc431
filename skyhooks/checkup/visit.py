"""A visit to a gateway (or an app that listens): what it says of itself, its clock, and whether it takes our webhooks.

Nothing is published: the probe is a signed ``POST /hooks`` whose content type no webhook has. Who takes webhooks checks
the signature first and then refuses the type, so the answer to a right secret is 415 and to a wrong one 401.
"""

import os
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec
import requests

from skyhooks.gateways import LiveNode, hooks_url
from skyhooks.registry import APP
from skyhooks.sender import Problem
from skyhooks.signature import Secret, signed_headers

TIMEOUT: Final = 3.0
"""Seconds for connecting, and for each answer."""
PROBE: Final = "application/vnd.skyhooks.probe"
"""A content type that is refused."""
PROBE_REFUSED: Final = 415


class Status(msgspec.Struct, frozen=True):
    """What is read of ``/api/status``."""

    node: str
    version: str
    store: str = ""
    channels: int = 0
    subscribers: int = 0
    uptime: float = 0.0


class Reply(msgspec.Struct, frozen=True):
    """An answer over HTTP: its status, and of a refusal the code and the sentence."""

    status: int
    code: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.status), self.code and f"({self.code})", self.detail) if part)


class Visit(msgspec.Struct, frozen=True):
    """What became of a visit.

    `failure` says why there was no answer; then the rest is empty. `skew` is how many seconds its clock is ahead of
    ours, None when it does not say. An app has no `status`.
    """

    node: LiveNode
    failure: str = ""
    untrusted: bool = False
    status: Status | None = None
    refusal: Reply | None = None
    unready: str = ""
    skew: float | None = None
    probe: Reply | None = None

    def __str__(self) -> str:
        kind = "app" if self.node.role == APP else "gateway"
        return f"{kind} {self.node.id} at {self.node.url}" if self.node.id else f"{kind} at {self.node.url}"


class Visitor:
    """Makes visits, signing with the first of `secrets`, and trusting the authorities in the PEM file `ca`."""

    def __init__(self, secrets: Sequence[Secret], ca: str = "") -> None:
        self._secrets = secrets[:1]
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca or True

    def __call__(self, node: LiveNode) -> Visit:
        """Visit whoever answers at a node's URL. Does not raise."""
        try:
            if node.role == APP:
                return self._visit_app(node)
            return self._visit_gateway(node)
        except requests.exceptions.SSLError as error:
            return Visit(node, failure=_reason(error), untrusted=True)
        except requests.RequestException as error:
            return Visit(node, failure=_reason(error))

    def _visit_app(self, node: LiveNode) -> Visit:
        answer = self._ask("GET", f"{node.url}/readyz")
        skew = self._skew(answer)
        return Visit(node, unready=_unready(answer[0]), skew=skew, probe=self._probe(node, skew))

    def _visit_gateway(self, node: LiveNode) -> Visit:
        answer = self._ask("GET", f"{node.url}/api/status")
        skew = self._skew(answer)
        try:
            status = msgspec.json.decode(answer[0].content, type=Status)
        except msgspec.DecodeError:
            return Visit(node, refusal=_reply(answer[0]), skew=skew)
        unready = _unready(self._ask("GET", f"{node.url}/readyz")[0])
        return Visit(node, status=status, unready=unready, skew=skew, probe=self._probe(node, skew))

    def _ask(self, method: str, url: str, **options: Any) -> tuple[requests.Response, float]:
        """The answer, and the moment in the middle between question and answer."""
        before = time.time()
        answer = self._session.request(method, url, timeout=TIMEOUT, allow_redirects=False, **options)
        return answer, (before + time.time()) / 2

    def _skew(self, asked: tuple[requests.Response, float]) -> float | None:
        answer, at = asked
        try:
            # The header counts whole seconds (RFC 9110 section 5.6.7): half of one is lost on average.
            return parsedate_to_datetime(answer.headers["Date"]).timestamp() + 0.5 - at
        except (KeyError, ValueError):
            return None

    def _probe(self, node: LiveNode, skew: float | None) -> Reply:
        headers = {"Content-Type": PROBE}
        if self._secrets:
            # By their clock, so that a wrong clock is not taken for a wrong secret.
            at = int(time.time() + (skew or 0.0))
            headers |= signed_headers(self._secrets, f"msg_probe_{os.urandom(8).hex()}", at, b"")
        answer, _ = self._ask("POST", hooks_url(node.url), data=b"", headers=headers)
        return _reply(answer)


def _unready(answer: requests.Response) -> str:
    return "" if answer.status_code == 200 else str(_reply(answer))


def _reply(answer: requests.Response) -> Reply:
    if answer.status_code < 400:
        return Reply(answer.status_code)
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except msgspec.DecodeError:
        return Reply(answer.status_code)
    return Reply(answer.status_code, problem.code, problem.detail)


def _reason(error: requests.RequestException) -> str:
    """The innermost cause, which is the one that means something to people."""
    cause: BaseException = error
    seen: set[int] = set()
    while id(cause) not in seen:
        seen.add(id(cause))
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause
    return f"{type(cause).__name__}: {getattr(cause, 'strerror', None) or str(cause)[:200]}"
