"""A client of gateways over HTTP: submit tasks, publish, and follow a channel without losing or repeating anything.

Give it the URLs of several gateways and it goes on with the next one when one is gone: any of them is as good, because
positions mean the same on every node.
"""

import ipaddress
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import requests
import urllib3.exceptions

from skyhooks.backoff import Backoff
from skyhooks.channel import channel_name
from skyhooks.errors import Refused, SettingsError, Unreachable
from skyhooks.signature import Secret, signed_headers
from skyhooks.webhook import NDJSON

DEFAULT_URL: Final = "http://127.0.0.1:8080"
CHUNK: Final = 64 * 1024
"""Bytes of a stream that are read at once, at most."""

T = TypeVar("T")


class Item(msgspec.Struct, frozen=True):
    """One publication: its position and its data as JSON text. Resuming after `position` goes on with the next one."""

    position: str
    text: bytes

    @property
    def data(self) -> Any:
        """What the text means. Raises `RecursionError` for what is nested too deeply for Python."""
        return json.loads(self.text)  # msgspec refuses numbers beyond a float, which somebody may have published


class Gap(msgspec.Struct, frozen=True):
    """The notice that what lies after position `start`, up to and including `end`, is no longer kept."""

    start: str
    end: str


class Published(msgspec.Struct, frozen=True):
    """A publication that a gateway took: ``stored``, ``duplicate`` or (without a log) ``sent``, and its position.

    `notified` is the number of subscribers that the channel had on that gateway.
    """

    status: str
    id: str
    channel: str
    position: str
    notified: int = 0


class Submitted(msgspec.Struct, frozen=True):
    """A task that was handed to Celery's broker.

    `channels` says where its results appear (``task`` and, with an account, ``account``), `positions` from where to
    follow each of them so that nothing is missed.
    """

    task_id: str
    channels: dict[str, str]
    positions: dict[str, str]


class _Line(msgspec.Struct, frozen=True):
    position: str = ""
    data: msgspec.Raw = msgspec.Raw()
    gap: dict[str, str] | None = None


class _Problem(msgspec.Struct, frozen=True):
    code: str
    detail: str


_line = msgspec.json.Decoder(_Line)


class Client:
    """Talks to the gateways at `urls`, to the first one that can be connected to.

    `secret` signs what is published; a gateway wants that for ``accounts/…`` and ``tasks/…``. `ca` is a PEM file of the
    authorities that certificates are checked against, instead of the usual ones. A connection has `connect` seconds to
    come about, an answer `answer` seconds to begin, and a stream that says nothing for `silence` seconds, not even a
    keepalive, counts as lost. Not for several threads at once.

    Every method raises `Refused` when a gateway does not accept what was asked, and `Unreachable` when none answers.
    """

    def __init__(
        self,
        *urls: str,
        secret: str = "",
        ca: str = "",
        connect: float = 5.0,
        answer: float = 30.0,
        silence: float = 60.0,
        backoff: Backoff = Backoff(),  # noqa: B008  # frozen
    ) -> None:
        self._urls = [_checked(url) for url in urls or (DEFAULT_URL,)]
        self._secrets = (Secret(secret),) if secret else ()
        self._connect, self._answer, self._silence = connect, answer, silence
        self._backoff = backoff
        if ca and not Path(ca).is_file():
            raise SettingsError(f"the file of authorities, {ca!r}, is not there: name the PEM file that holds them")
        self._verify = ca or None  # None leaves it to the session, which asks the environment
        self._session = requests.Session()
        # A proxy of the environment cannot reach this machine's own loopback.
        self._session.trust_env = not all(_is_loopback(url) for url in self._urls)

    def close(self) -> None:
        """Give up the connections."""
        self._session.close()

    def submit(
        self,
        task: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        account: str | int | None = None,
        *,
        deadline: float | None = None,
        expires: float | None = None,
    ) -> Submitted:
        """Submit a Celery task by its name. It is asked for once: after a lost answer it may run or not.

        When it has not ended `deadline` seconds later, its failure is published (0: never; None: as the gateway's
        setting says). When it has not begun `expires` seconds later, it is not run and published as revoked.
        """
        terms = {"deadline": deadline, "expires": expires}
        asked: dict[str, Any] = {"args": list(args), "kwargs": dict(kwargs or {}), "account": account}
        asked |= {name: seconds for name, seconds in terms.items() if seconds is not None}
        return self._post(f"/api/tasks/{quote(task, safe='')}", msgspec.json.encode(asked), {}, Submitted)

    def publish(self, channel: str, data: Any, publication_id: str = "") -> Published:
        """Publish `data` (anything that JSON can carry). With the same id it is stored once, however often it is sent.

        Raises `TypeError` or `ValueError` when JSON cannot carry it.
        """
        body = msgspec.json.encode(data)
        publication_id = publication_id or uuid.uuid4().hex
        headers = {"Idempotency-Key": publication_id}
        if self._secrets:
            headers |= signed_headers(self._secrets, publication_id, int(time.time()), body)
        return self._post(_path(channel), body, headers, Published)

    def tail(
        self, channel: str, since: str | None = None, *, lost: Callable[[str], None] | None = None
    ) -> Iterator[Item | Gap]:
        """Follow a channel for ever: from now on, or from position `since` (``0``: from the start).

        When a connection is lost, `lost` is told why, and the next gateway is asked to go on from the last position.
        Only at the very beginning `Unreachable`, or a `Refused` with a status from 500, is raised: no gateway serves.
        """
        path, position, failures, met = _path(channel), since, 0, False
        while True:
            url = self._urls[0]
            try:
                for line in self._stream(url + path, position):
                    failures, met = 0, True
                    position = line.gap["to"] if line.gap else line.position
                    if line.gap:
                        yield Gap(line.gap["from"], position)
                    elif text := bytes(line.data):
                        yield Item(position, text)
                why = f"{url} ended the stream"
            except (Refused, Unreachable) as error:
                why = str(error)
                if isinstance(error, Refused) and error.status < 500:
                    raise
                if not met and failures + 1 >= len(self._urls):
                    raise error if isinstance(error, Refused) else self._nobody() from error
            self._urls.append(self._urls.pop(0))
            if lost is not None:
                lost(why)
            time.sleep(self._backoff.delay(failures, random.random))
            failures += 1

    def get(self, path: str, answer: type[T], query: Mapping[str, str] | None = None) -> T:
        """Read anything of a gateway that has no method of its own, such as ``/api/nodes``, as an `answer`."""
        return self._ask("GET", path, None, {}, answer, query)

    def post(self, path: str, answer: type[T], body: bytes = b"") -> T:
        """Order anything of a gateway that has no method of its own. It is asked for once, as in `submit`."""
        return self._ask("POST", path, body, {}, answer)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str], answer: type[T]) -> T:
        return self._ask("POST", path, body, {"Content-Type": "application/json", **headers}, answer)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        answer: type[T],
        query: Mapping[str, str] | None = None,
    ) -> T:
        """Ask the first gateway that can be connected to. Only a request that was never sent goes to another one,
        unless it is one to read.
        """
        timeout = (self._connect, self._answer)
        for url in list(self._urls):
            try:
                response = self._session.request(
                    method,
                    url + path,
                    params=query,
                    data=body,
                    headers=headers,
                    timeout=timeout,
                    verify=self._verify,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                if method != "GET" and _was_sent(error):
                    raise Unreachable(f"{url} was asked and did not answer: {_why(error)}; it may be done") from error
                self._urls.append(self._urls.pop(0))
                continue
            _raise_for(response)
            return _decoded(response.content, answer, url)
        raise self._nobody()

    def _nobody(self) -> Unreachable:
        return Unreachable(f"no gateway answers at {' or '.join(self._urls)}: start one with `skyhooks up`")

    def _stream(self, url: str, since: str | None) -> Iterator[_Line]:
        query = {} if since is None else {"since": since}
        timeout = (self._connect, self._silence)
        try:
            with self._session.get(
                url, params=query, stream=True, timeout=timeout, verify=self._verify, allow_redirects=False
            ) as response:
                _raise_for(response)
                if response.headers.get("Content-Type") != NDJSON:
                    raise Unreachable(f"{url} does not answer like a gateway: it sends no {NDJSON}")
                rest = b""
                # What has come is read at once: requests' own iterators wait for a chunk of a size or for the end.
                while chunk := response.raw.read1(CHUNK):
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from (_decoded(line, _line, url) for line in lines if line)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Unreachable(f"{url}: {_why(error)}") from error


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(f"a gateway's URL is such as {DEFAULT_URL}; got {url[:100]!r}")
    return url.rstrip("/")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path(channel: str) -> str:
    return "/channels/" + quote(channel_name(channel), safe="/:@")


def _raise_for(response: requests.Response) -> None:
    """Raise what a gateway's answer means: nothing for 2xx, `Refused` for a problem, else `Unreachable`."""
    if response.ok and not response.is_redirect:
        return
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except msgspec.DecodeError:
        problem = None
    if problem is None:
        raise Unreachable(f"{response.url} does not answer like a gateway: {response.status_code} {response.reason}")
    raise Refused(problem.code, problem.detail, response.status_code)


def _decoded(body: bytes, shape: "type[T] | msgspec.json.Decoder[T]", url: str) -> T:
    try:
        return shape.decode(body) if isinstance(shape, msgspec.json.Decoder) else msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreachable(f"{url} does not answer like a gateway: {error}") from error


def _was_sent(error: requests.RequestException) -> bool:
    """Whether a request may have reached the other side before it failed."""
    if isinstance(error, requests.ConnectTimeout):
        return False
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return not isinstance(reason, urllib3.exceptions.NewConnectionError)


def _why(error: Exception) -> str:
    """What went wrong with a connection, in words: the libraries' own are chains with object addresses."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
            return "it did not answer in time"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return "the connection broke"
