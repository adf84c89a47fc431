"""``/healthz``, ``/readyz`` and ``/api/status``: is the process alive, should it get traffic, what is it doing.

The first two answer to any Host: those who ask are load balancers, which put there what they like.
"""

from gateway.api.handler import ApiHandler
from skyhooks.errors import Refused


class HealthHandler(ApiHandler):
    """``GET /healthz``."""

    guarded = False

    def get(self) -> None:
        """Say that the process answers; nothing else is looked at."""
        self.answer({"status": "ok"})

    head = get


class ReadyHandler(ApiHandler):
    """``GET /readyz``."""

    guarded = False

    async def get(self) -> None:
        """Say whether the node can serve, or 503 (``not_ready``) with the reasons."""
        if reasons := await self.control.unready():
            raise Refused("not_ready", "; ".join(reasons), 503, {"Retry-After": "1"})
        self.answer({"status": "ready"})

    head = get


class StatusHandler(ApiHandler):
    """``GET /api/status``."""

    def get(self) -> None:
        """The node in figures."""
        self.query(())
        self.answer(self.control.describe())

    head = get
