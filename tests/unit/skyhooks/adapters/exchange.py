"""What every framework's endpoint must answer, as one table, and the store behind it."""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import requests

from skyhooks.adapters.limits import Limits
from skyhooks.errors import StoreUnavailable
from skyhooks.publication import Draft, Outcome
from skyhooks.signature import Secret, make_secret, signed_headers
from skyhooks.store.base import Head, Lease, News, Page
from skyhooks.store.memory import MemoryStore

SECRET = make_secret(b"k" * 24)
SIGNER = Secret(SECRET)
LIMITS = Limits(body_bytes=2000, batch_items=3, page_count=4, news_seconds=0.01)
URL = "http://127.0.0.1:8888/skyhooks"


def hook(**more: Any) -> bytes:
    """The body of one webhook."""
    return json.dumps({"keys": {"account_id": "acme"}, "data": {"n": 1}, **more}).encode()


class Case(NamedTuple):
    """A request to an open endpoint, and the status and code of its answer (empty: no problem)."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]
    status: int
    code: str = ""


JSON = {"Content-Type": "application/json"}
CASES = {
    "one": Case("POST", "hooks", hook(), JSON, 200),
    "batch": Case("POST", "hooks", hook() + b"\n" + hook(), {"Content-Type": "application/x-ndjson"}, 200),
    "ready": Case("GET", "readyz", b"", {}, 200),
    "ready-head": Case("HEAD", "readyz", b"", {}, 200),
    "not-json": Case("POST", "hooks", b"{", JSON, 400, "bad_json"),
    "not-utf8": Case("POST", "hooks", b'"\xff"', JSON, 400, "bad_json"),
    "empty": Case("POST", "hooks", b"", JSON, 400, "bad_json"),
    "bad-account": Case("POST", "hooks", hook(keys={"account_id": "a b"}), JSON, 400, "bad_account"),
    "bad-type": Case("POST", "hooks", hook(), {"Content-Type": "text/csv"}, 415, "bad_content_type"),
    "long-batch": Case("POST", "hooks", b"1\n" * 4, {"Content-Type": "application/x-ndjson"}, 413, "bad_batch"),
    "too-large": Case("POST", "hooks", b" " * 2001, JSON, 413, "body_too_large"),
    "just-fits": Case("POST", "hooks", hook().ljust(2000), JSON, 200),
    "a-page": Case("POST", "hooks", hook(), {**JSON, "Origin": "http://evil.example"}, 403, "bad_origin"),
    "get": Case("GET", "hooks", b"", {}, 405, "method_not_allowed"),
    "put": Case("PUT", "hooks", hook(), JSON, 405, "method_not_allowed"),
}
"""By name. Every refused one leaves the log as it was."""


def assert_answer(case: Case, status: int, headers: dict[str, str], body: bytes) -> None:
    """The answer is the one that the table wants; `headers` have lower-case names."""
    assert (status, len(body)) == (case.status, 0 if case.method == "HEAD" else int(headers["content-length"]))
    if case.method == "HEAD":
        return
    answer = json.loads(body)
    if case.code:
        assert headers["content-type"] == "application/problem+json"
        assert (answer["code"], answer["status"]) == (case.code, case.status)
        assert ("allow" in headers) == (case.status == 405)
    else:
        assert headers["content-type"] == "application/json"
        assert answer["status"] in ("ok", "ready")


def exchange(case: Case, mount: str) -> None:
    """Ask a real server, and check its answer."""
    url = f"{mount}/{case.path}"
    answer = requests.request(case.method, url, data=case.body, headers=case.headers, timeout=10)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert_answer(case, answer.status_code, headers, answer.content)


def post(mount: str, body: bytes, *, signed: bool = False, **headers: str) -> tuple[int, dict[str, Any]]:
    """Post a webhook to a real server; the status and the JSON of its answer."""
    if signed:
        headers |= signed_headers([SIGNER], "msg_1", int(time.time()), body)
    headers["Content-Type"] = "application/json"
    answer = requests.post(f"{mount}/hooks", data=body, headers=headers, timeout=10)
    return answer.status_code, answer.json()


class Switched(MemoryStore):
    """A real store that a test can take away (`away`); `after_head` happens once, after the next reading of a head."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.after_head: Callable[[], None] | None = None
        self.reads = 0
        self.leased = 0

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("switched off by the test")

    def append(self, drafts: Any) -> list[Outcome]:
        self._check()
        return super().append(drafts)

    def head(self, channel: str) -> Head | None:
        self._check()
        head = super().head(channel)
        meanwhile, self.after_head = self.after_head, None
        if meanwhile is not None:
            meanwhile()
        return head

    def read(self, channel: str, after: int, limit: int = 500, size: int = 1 << 20) -> Page:
        self._check()
        self.reads += 1
        return super().read(channel, after, limit, size)

    def news(self, mark: int | None) -> News:
        self._check()
        return super().news(mark)

    def lease(self, name: str, holder: str, ttl: float, info: str = "{}") -> Lease | None:
        self._check()
        self.leased += 1
        return super().lease(name, holder, ttl, info)

    def data(self, channel: str = "accounts/acme") -> list[Any]:
        """Everything in a channel."""
        return [json.loads(one.data) for one in self.read(channel, 0, 10_000).publications]

    def say(self, *values: Any, channel: str = "accounts/acme") -> None:
        """Append values as somebody else would."""
        start = head.offset if (head := self.head(channel)) else 0
        self.append(
            [
                Draft(id=f"{channel}-{start + n}", channels=(channel,), data=json.dumps(value).encode())
                for n, value in enumerate(values)
            ]
        )
