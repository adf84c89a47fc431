"""Takes results where they belong: signed to a gateway by HTTP, or into the log itself when no gateway lives.

What an answer means, for one webhook and for each item of a batch:

| answer | then |
|---|---|
| 200 with stored, duplicate, superseded | settled |
| 200 with refused; 4xx with a problem's code | refused for good: an error takes the result's place, once |
| 413 for a batch | the batch is cut in two |
| 401, 403 | a wrong secret: said loudly, the next gateway; never around it, straight into the log |
| 408, 425, 429, 5xx, 3xx, other 4xx, timeout, broken connection | the next gateway; ``Retry-After`` is honoured |
 When every gateway failed the log is written directly; when that fails too, the parcel stays unsettled and the outbox
tries again later. Ids make all of it harmless to repeat.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec
import requests
import structlog
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from skyhooks.errors import Refused, StoreError
from skyhooks.event import refused_webhook
from skyhooks.gateways import COOL_DOWN, Choice, Gateways
from skyhooks.parcel import Parcel
from skyhooks.problem import PROBLEM
from skyhooks.publication import Draft, Outcome
from skyhooks.signature import Secret, signed_headers
from skyhooks.webhook import NDJSON, draft_of, parse_webhook

log = structlog.get_logger()

BATCH_BYTES: Final = 768 * 1024
"""Bytes of a batch; a gateway's body limit is 1 MiB by default."""
MISCONFIGURED: Final = frozenset({401, 403})
FINAL: Final = frozenset({400, 409, 413, 415, 422})
"""The statuses with which a gateway refuses what it was sent, rather than not being able to take it."""
SETTLED: Final = frozenset({"stored", "duplicate", "superseded"})
"""What the log may have decided about an item that it took."""


class Item(msgspec.Struct, frozen=True):
    """A gateway's answer for one webhook."""

    status: str
    id: str = ""
    code: str = ""
    detail: str = ""


class Answer(msgspec.Struct, frozen=True):
    """A gateway's answer with status 200."""

    items: list[Item] = []


class Problem(msgspec.Struct, frozen=True):
    """What is read of problem+json (RFC 9457)."""

    code: str = "refused"
    detail: str = ""


class Wire:
    """POSTs over pooled connections. One thread uses it.

    `connect_timeout` and `read_timeout` are in seconds. `ca` is a PEM file of the authorities that certificates are
    checked against, instead of the usual ones. Proxies and netrc of the environment do not apply.
    """

    def __init__(self, secrets: Sequence[Secret], connect_timeout: float, read_timeout: float, ca: str = "") -> None:
        self._secrets = secrets[:1]
        self._timeout = (connect_timeout, read_timeout)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca or True
        # A POST is repeated only by the rules above, never by urllib3.
        adapter = HTTPAdapter(pool_connections=32, pool_maxsize=2, max_retries=Retry(0, redirect=0, read=False))
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def post(self, url: str, lines: Sequence[bytes]) -> requests.Response:
        """POST one webhook, or several as a batch. Raises `OSError`, of which `requests.RequestException` is one."""
        body = b"\n".join(lines)
        headers = {"Content-Type": NDJSON if len(lines) > 1 else "application/json"}
        if self._secrets:
            # The same body has the same id on every attempt, as the scheme asks for.
            message_id = f"msg_{hashlib.blake2b(body, digest_size=16).hexdigest()}"
            headers |= signed_headers(self._secrets, message_id, int(time.time()), body)
        return self._session.post(url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False)


class Sender:
    """Publishes parcels. `append` is `LogStore.append`."""

    def __init__(self, wire: Wire, gateways: Gateways, append: Callable[[Sequence[Draft]], Sequence[Outcome]]) -> None:
        self._wire = wire
        self._gateways = gateways
        self._append = append
        self._said: set[str] = set()

    def publish(self, parcels: Sequence[Parcel]) -> None:
        """Try once to publish each parcel, and mark those that are published or refused for good. Does not raise."""
        self._publish(parcels)
        # Where a result was refused an error now takes its place.
        self._publish([one for one in parcels if not one.published and one.webhook != one.contents.webhook])

    def _publish(self, parcels: Iterable[Parcel]) -> None:
        routes: dict[Choice, list[Parcel]] = {}
        for parcel in parcels:
            if not parcel.published:
                choice = self._gateways.choose(parcel.account, parcel.task_id)
                routes.setdefault(choice, []).append(parcel)
        for choice, group in routes.items():
            for batch in _batches(group):
                self._try_all(choice, batch)

    def _try_all(self, choice: Choice, batch: Sequence[Parcel]) -> None:
        """The gateways in turn, then the log."""
        barred = choice.refused > 0 and not choice.urls
        if barred:
            self._say("secret_missing", "", "gateways live that are not --open: set skyhooks_secret to theirs")
        for url in choice.urls:
            response = self._post(url, batch)
            if response is None:
                continue
            if response.status_code == 200 and self._read_items(response, batch):
                self._gateways.warm(url)
                self._said.clear()
                return
            if response.status_code in FINAL and (_is_problem(response) or len(batch) > 1):
                # Without a problem it may be a proxy that speaks, which cannot refuse a result for good.
                self._cut_or_refuse(url, response, batch)
                return
            if response.status_code in MISCONFIGURED:
                barred = True
                detail = _problem(response).detail or f"status {response.status_code}"
                self._say("secret_refused", url, f"the gateway has another skyhooks_secret: {detail}")
            self._gateways.cool(url, _retry_after(response))
        if not barred:
            self._append_directly(batch)

    def _post(self, url: str, batch: Sequence[Parcel]) -> requests.Response | None:
        try:
            return self._wire.post(url, [parcel.webhook for parcel in batch])
        except OSError as error:  # those of requests, and a file of authorities that has gone
            self._gateways.cool(url)
            self._say("gateway_unreachable", url, str(error))
            return None

    def _read_items(self, response: requests.Response, batch: Sequence[Parcel]) -> bool:
        """Settle what the answer settles; False when it is not an answer to this batch."""
        try:
            items = msgspec.json.decode(response.content, type=Answer).items
        except msgspec.DecodeError:
            items = []
        if len(items) != len(batch):
            self._say("gateway_answer_unusable", response.url, f"{len(items)} items for {len(batch)} webhooks")
            return False
        for parcel, item in zip(batch, items, strict=True):
            if item.status in SETTLED:
                parcel.published = True
            else:
                _refuse(parcel, item.code or item.status, item.detail)
        return True

    def _cut_or_refuse(self, url: str, response: requests.Response, batch: Sequence[Parcel]) -> None:
        """A batch that is refused as a whole is cut in two until it is known which webhook it was."""
        if len(batch) == 1:
            problem = _problem(response)
            _refuse(batch[0], problem.code, problem.detail)
            return
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            self._try_all(Choice((url,)), part)

    def _append_directly(self, batch: Sequence[Parcel]) -> None:
        drafts, parcels = [], []
        for parcel in batch:
            try:
                drafts.append(draft_of(parse_webhook(parcel.webhook), ""))
                parcels.append(parcel)
            except Refused as refused:
                _refuse(parcel, refused.code, refused.detail)
        if not drafts:
            return
        try:
            outcomes = self._append(drafts)
        except StoreError as error:
            self._say("store_unwritable", "", str(error))
            return
        self._said.discard("store_unwritable")
        for parcel, outcome in zip(parcels, outcomes, strict=True):
            if outcome.status == "fenced":
                _refuse(parcel, "fenced", "the channel is written by a bridge")
            else:
                parcel.published = True

    def _say(self, event: str, url: str, detail: str) -> None:
        """Log a fault once until something works again."""
        if event + url not in self._said:
            self._said.add(event + url)
            log.error(event, url=url, detail=detail)


def _refuse(parcel: Parcel, code: str, detail: str) -> None:
    """A webhook was refused for good: the end of a task becomes an error, anything else is given up."""
    log.error("result_refused", task_id=parcel.task_id, account=parcel.account, code=code, detail=detail)
    replaced = parcel.webhook != parcel.contents.webhook
    if parcel.slot or replaced or not parcel.task_id:
        parcel.published = True
    else:
        parcel.webhook = refused_webhook(parcel.webhook, code, detail)


def _batches(parcels: Sequence[Parcel]) -> Iterator[list[Parcel]]:
    """Runs of parcels that fit into one body."""
    batch: list[Parcel] = []
    size = 0
    for parcel in parcels:
        if batch and size + len(parcel.webhook) > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(parcel)
        size += len(parcel.webhook) + 1
    if batch:
        yield batch


def _is_problem(response: requests.Response) -> bool:
    return response.headers.get("Content-Type", "").partition(";")[0].strip() == PROBLEM


def _problem(response: requests.Response) -> Problem:
    try:
        return msgspec.json.decode(response.content, type=Problem)
    except msgspec.DecodeError:
        return Problem(detail=f"status {response.status_code} without a problem+json body")


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else COOL_DOWN
