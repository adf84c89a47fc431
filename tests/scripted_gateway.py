"""A gateway whose answers a test decides, for what a real one does only on bad days. It speaks real HTTP."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec

from skyhooks.webhook import Webhook, parse_webhook


class Received(NamedTuple):
    """One request as it came."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def webhooks(self) -> list[Webhook]:
        return [parse_webhook(line) for line in self.body.split(b"\n")]

    @property
    def ids(self) -> list[str]:
        return [webhook.id for webhook in self.webhooks]


class Reply(NamedTuple):
    """What is answered."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}


Script = Callable[[Received], Reply]


def accept(received: Received) -> Reply:
    """Every item is stored."""
    return Reply(200, {"status": "ok", "notified": 0, "items": [{"id": i, "status": "stored"} for i in received.ids]})


class ScriptedGateway:
    """Answers with what `script` gives, which a test may change at any time; `received` are the requests so far."""

    def __init__(self, script: Script = accept) -> None:
        self.script = script
        self.received: list[Received] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Received({name.lower(): value for name, value in self.headers.items()}, body)
                gateway.received.append(request)
                reply = gateway.script(request)
                text = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
                # As a gateway does: a refusal is a problem. What is no object comes from something else on the way.
                problem = reply.status >= 400 and isinstance(reply.body, dict)
                kind = "application/problem+json" if problem else "application/json"
                self.send_response(reply.status)
                headers = {"Content-Length": str(len(text)), "Content-Type": kind, **reply.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                """The test says what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def ids(self) -> list[list[str]]:
        """The ids of each request."""
        return [request.ids for request in self.received]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
