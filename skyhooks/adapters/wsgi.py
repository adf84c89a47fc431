"""The endpoint as a WSGI application (PEP 3333): for gevent, and for every server and framework that speaks WSGI."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from skyhooks.adapters.container import Container
from skyhooks.adapters.endpoint import Answer, Endpoint

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class WebhookApp:
    """A WSGI application for the container's mount point: what follows it arrives as ``PATH_INFO``."""

    def __init__(self, container: Container) -> None:
        self._endpoint = container.endpoint

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        answer = self._answer(environ)
        head = [*answer.headers.items(), ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", head)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _answer(self, environ: Environ) -> Answer:
        method, name = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "").removeprefix("/")
        refusal = self._endpoint.refusal(method, name, environ.get("CONTENT_LENGTH") or None)
        if refusal is not None:
            return refusal
        return self._endpoint.answer(method, name, headers_of(environ), read_body(environ, self._endpoint))


class WebhookMiddleware:
    """`app`, with the container's endpoint at `mount`."""

    def __init__(self, app: App, container: Container, mount: str = "/skyhooks") -> None:
        self._app = app
        self._mount = mount.rstrip("/")
        self._webhooks = WebhookApp(container)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request, or have the app answer it."""
        path = environ.get("PATH_INFO", "")
        if not path.startswith(f"{self._mount}/"):
            return self._app(environ, start_response)
        script = environ.get("SCRIPT_NAME", "") + self._mount
        below = {**environ, "SCRIPT_NAME": script, "PATH_INFO": path.removeprefix(self._mount)}
        return self._webhooks(below, start_response)


def headers_of(environ: Environ) -> dict[str, str]:
    """The request's headers by lower-case name (PEP 3333: ``HTTP_*``, and two without the prefix)."""
    found = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if kind := environ.get("CONTENT_TYPE"):
        found["content-type"] = kind
    return found


def read_body(environ: Environ, endpoint: Endpoint) -> bytes:
    """The body, up to one byte more than is accepted."""
    length = environ.get("CONTENT_LENGTH") or ""
    wanted = min(int(length), endpoint.body_bytes) if length.isascii() and length.isdigit() else 0
    if not length and environ.get("wsgi.input_terminated"):
        wanted = endpoint.body_bytes
    body: bytes = environ["wsgi.input"].read(wanted) if wanted else b""
    return body
