"""Skyhooks in a Twisted program: the reactor calls the callbacks, which may return Deferreds.

::

    container = Container(open_store("mongodb://…"), reactor, url="http://127.0.0.1:8000/skyhooks", secret="whsec_…")
    root.putChild(b"skyhooks", WebhookResource(container))
    container.start()
    container.register({"account_id": 7}, print)   # a Deferred
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from skyhooks.adapters.container import Container as BlockingContainer
from skyhooks.adapters.endpoint import Answer, Endpoint
from skyhooks.adapters.limits import Limits
from skyhooks.adapters.listener import Callback, Gap, Handover, Listener
from skyhooks.store.base import Store

try:
    from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
    from twisted.internet.threads import deferToThreadPool
    from twisted.web.resource import Resource
    from twisted.web.server import NOT_DONE_YET, Request
except ImportError as error:
    raise ImportError("skyhooks.adapters.twisted needs Twisted, which is not installed: pip install twisted") from error

__all__ = ["Container", "WebhookResource"]

T = TypeVar("T")


class Container:
    """`skyhooks.adapters.container.Container` with Deferreds; see there for what the other arguments mean.

    Everything that touches the store runs in the reactor's thread pool.
    """

    def __init__(
        self,
        store: Store,
        reactor: Any,
        *,
        url: str = "",
        secret: str = "",
        node_id: str = "",
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self._reactor = reactor
        self._container = BlockingContainer(
            store, url=url, secret=secret, node_id=node_id, dispatch=self._dispatch, limits=limits
        )

    @property
    def node_id(self) -> str:
        """The app's name in the registry."""
        return self._container.node_id

    @property
    def endpoint(self) -> Endpoint:
        """What answers workers."""
        return self._container.endpoint

    def start(self) -> None:
        """Begin to watch. A store that is away is no error here."""
        self._container.start()

    def stop(self) -> "Deferred[None]":
        """Call no callback any more, leave the registry, and end; give it to a ``before shutdown`` trigger."""
        return self._in_thread(self._container.stop)

    def register(
        self,
        keys: Mapping[str, object],
        callback: Callback,
        *,
        since: str | None = None,
        with_position: bool = False,
        on_gap: Callable[[Gap], Any] | None = None,
    ) -> "Deferred[Listener]":
        """See `skyhooks.adapters.container.Container.register`."""
        call = partial(self._container.register, since=since, with_position=with_position, on_gap=on_gap)
        return self._in_thread(call, keys, callback)

    def unregister(self, keys: Mapping[str, object], callback: Callback) -> bool:
        """See `skyhooks.adapters.container.Container.unregister`; it does not wait for anything."""
        return self._container.unregister(keys, callback)

    def notify(self, keys: Mapping[str, object], data: Any, publication_id: str = "") -> "Deferred[dict[str, Any]]":
        """See `skyhooks.adapters.container.Container.notify`."""
        return self._in_thread(self._container.notify, keys, data, publication_id)

    def answer(self, method: str, name: str, headers: Mapping[str, str], body: bytes) -> "Deferred[Answer]":
        """See `skyhooks.adapters.endpoint.Endpoint.answer`."""
        return self._in_thread(self.endpoint.answer, method, name, headers, body)

    def _in_thread(self, call: Callable[..., T], *args: Any) -> "Deferred[T]":
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), call, *args)

    def _dispatch(self, handovers: Sequence[Handover]) -> None:
        """Called by the watcher's thread, with everything that one look has found."""
        self._reactor.callFromThread(self._run, handovers)

    def _run(self, handovers: Sequence[Handover]) -> None:
        for handover in handovers:
            waiting = handover.run()
            if waiting is not None:
                ensureDeferred(handover.complete(waiting))


class WebhookResource(Resource):
    """A resource for the container's mount point. twisted.web has read the body when it is asked."""

    isLeaf = True

    def __init__(self, container: Container) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._container = container

    def render(self, request: Request) -> int:
        """Answer one request, later."""
        method, name = _text(request.method), "/".join(_text(part) for part in request.postpath or [])
        headers = {_text(key).lower(): _text(values[-1]) for key, values in request.requestHeaders.getAllRawHeaders()}
        body = request.content.read(self._container.endpoint.body_bytes) if request.content else b""
        answering = self._container.answer(method, name, headers, body)
        # The client may go while the log commits; there is nobody to answer then.
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addCallback(partial(_write, request, head=method == "HEAD"))
        answering.addErrback(lambda failure: failure.trap(CancelledError) and None)
        return NOT_DONE_YET


def _write(request: Request, answer: Answer, *, head: bool) -> None:
    request.setResponseCode(answer.status)
    for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
        request.setHeader(name, value)
    if not head:
        request.write(answer.body)
    request.finish()


def _text(value: bytes) -> str:
    return value.decode("latin-1")
