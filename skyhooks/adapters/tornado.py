"""Skyhooks in a Tornado application, on the loop that it already runs.

::

    container = Container(open_store("mongodb://…"), url="http://127.0.0.1:8888/skyhooks", secret="whsec_…")
    application = Application([*routes(container), (r"/", MainHandler, {"container": container})])
"""

from typing import Any

from tornado.web import RequestHandler

from skyhooks.adapters.endpoint import HOOKS, READY, Answer
from skyhooks.adapters.loop import Container

__all__ = ["Container", "WebhookHandler", "routes"]


class WebhookHandler(RequestHandler):
    """Takes webhooks for the container that its route carries.

    Subclass it to do more: `prepare` may refuse what it does not want, `answered` is told of every answer. A form token
    (``xsrf_cookies``) is not asked for, because workers sign what they send instead.
    """

    name = HOOKS

    def initialize(self, container: Container) -> None:
        """Called by Tornado with what the route carries."""
        self.container = container

    def check_xsrf_cookie(self) -> None:
        """Ask for no form token."""

    async def post(self, *_: str, **__: str) -> None:
        """Take webhooks in: 200 once they are committed, else a problem (RFC 9457)."""
        await self._answer()

    async def get(self, *_: str, **__: str) -> None:
        """Answer 405, as to every method but POST."""
        await self._answer()

    head = put = patch = delete = options = get

    def answered(self, answer: Answer) -> None:
        """A hook for subclasses: `answer` is about to be sent."""

    async def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.request.headers.items()}
        method = self.request.method or ""
        answer = await self.container.answer(method, self.name, headers, self.request.body)
        self.set_status(answer.status)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        self.answered(answer)
        if method == "HEAD":
            self.set_header("Content-Length", str(len(answer.body)))
            await self.finish()
        else:
            await self.finish(answer.body)


class ReadyHandler(WebhookHandler):
    """Tells workers and ``skyhooks doctor`` that the app is there."""

    name = READY


def routes(
    container: Container, mount: str = "/skyhooks", handler: type[WebhookHandler] = WebhookHandler
) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """The rules for an application whose container's `url` ends with `mount`; `handler` takes the webhooks."""
    prefix, arguments = mount.rstrip("/"), {"container": container}
    return [(f"{prefix}/{HOOKS}", handler, arguments), (f"{prefix}/{READY}", ReadyHandler, arguments)]
