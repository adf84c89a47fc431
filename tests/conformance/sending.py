"""What skyhooks' own sender puts on the wire, caught by a plain HTTP server."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec

from skyhooks.gateways import Gateways
from skyhooks.parcel import Contents, Parcel
from skyhooks.publication import TaskMark
from skyhooks.sender import Sender, Wire
from skyhooks.signature import parse_secrets
from skyhooks.store.base import Store
from skyhooks.webhook import encode_webhook


class Caught(msgspec.Struct, frozen=True):
    """One POST as it came."""

    headers: dict[str, str]
    body: bytes


@contextmanager
def catching() -> Iterator[tuple[str, list[Caught]]]:
    """The URL of a server, and what was posted to it; it takes everything."""
    caught: list[Caught] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            caught.append(Caught({name.lower(): value for name, value in self.headers.items()}, body))
            items = [{"status": "stored"}] * (body.count(b"\n") + 1)
            answer = msgspec.json.encode({"items": items})
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", caught
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def register(store: Store, url: str, is_open: bool = False) -> None:
    """Let workers know of a gateway at `url`."""
    info = msgspec.json.encode({"url": url, "open": is_open}).decode()
    assert store.lease("nodes/caught", "caught", 60.0, info)


def sender_of(store: Store, secrets: str, ca: str = "") -> Sender:
    """A worker's sender, whose log cannot be written: what it delivers goes through a gateway."""

    def append(drafts: object) -> list[object]:
        raise AssertionError("the log was written directly")

    parsed = parse_secrets(secrets)
    return Sender(Wire(parsed, 2.0, 5.0, ca), Gateways(store, bool(parsed)), append)  # type: ignore[arg-type]


def parcels(count: int, account: str = "acme") -> list[Parcel]:
    """The ends of so many tasks."""
    made = []
    for number in range(count):
        task_id = f"{account}-{number}"
        keys = {"task_id": task_id, "account_id": account}
        data = {"type": "task", "result": [number, "ü</script>"]}
        made.append(encode_webhook(keys, data, f"{task_id}:end", TaskMark("r", 0, "SUCCESS")))
    return [Parcel(Contents(webhook=line)) for line in made]


def sent(secrets: str, store: Store, count: int) -> Sequence[Caught]:
    """What a sender with these secrets posts for so many results."""
    with catching() as (url, caught):
        register(store, url)
        batch = parcels(count)
        sender_of(store, secrets).publish(batch)
        assert all(parcel.published for parcel in batch)
        return caught
