"""Skyhooks in a gevent program: callbacks are called in greenlets, the endpoint is a WSGI application.

gevent must have patched the standard library before anything else was imported::

    from gevent import monkey; monkey.patch_all()

    container = Container(open_store("mongodb://…"), url="http://127.0.0.1:8000/skyhooks", secret="whsec_…")
    container.start()
    container.register({"account_id": 7}, print)
    WSGIServer(("127.0.0.1", 8000), WebhookMiddleware(app, container)).serve_forever()
"""

from collections.abc import Callable, Sequence

import gevent

from skyhooks.adapters.container import Container as BlockingContainer
from skyhooks.adapters.container import Work
from skyhooks.adapters.limits import Limits
from skyhooks.adapters.listener import Handover
from skyhooks.adapters.wsgi import WebhookApp, WebhookMiddleware
from skyhooks.errors import SettingsError
from skyhooks.green import for_this_process, patched
from skyhooks.store.base import Store

__all__ = ["Container", "WebhookApp", "WebhookMiddleware"]


class Container(BlockingContainer):
    """The container whose callbacks run in greenlets: one that waits holds up only itself.

    What it does beside them runs in greenlets too. See `skyhooks.adapters.container.Container` for what the arguments
    mean. Raises `SettingsError`, also in a process that gevent has not patched.
    """

    def __init__(
        self,
        store: Store,
        *,
        url: str = "",
        secret: str = "",
        node_id: str = "",
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        if not patched():
            raise SettingsError("gevent has not patched this process: call gevent.monkey.patch_all() before any import")
        green = for_this_process(store)
        super().__init__(green, url=url, secret=secret, node_id=node_id, dispatch=_spawn, limits=limits)

    def _begin(self, name: str, work: Callable[[], None]) -> Work:
        # Not a patched thread: that would swallow a KeyboardInterrupt that happens to be raised in it.
        greenlet = gevent.Greenlet(work)
        greenlet.name = name
        greenlet.start()
        done: Work = greenlet
        return done


def _spawn(handovers: Sequence[Handover]) -> None:
    for handover in handovers:
        gevent.spawn(handover.run_plainly)
