# mypy: disable-error-code="untyped-decorator"
"""The Celery application of the demo and of `skyhooks up`.

``SKYHOOKS_BROKER`` names the broker (``file:///absolute/folder`` for the embedded one, ``amqp://…``, ``redis://…``)
and ``SKYHOOKS_STORE`` the store. Start a worker with ``python -P -m celery -A workers.app worker -P gevent``:
Celery patches for gevent before it imports anything else, so this module may import what it needs.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from celery import Celery, signals

from skyhooks import brokers
from skyhooks.store import default_url

SETTINGS: dict[str, Any] = {
    "result_backend": "skyhooks",
    "imports": ("workers.tasks",),
}


def default_broker(environ: Mapping[str, str]) -> str:
    """``SKYHOOKS_BROKER``, else a folder next to the default store."""
    folder = Path(default_url({**environ, "SKYHOOKS_STORE": ""}).removeprefix("sqlite://")).parent / "broker"
    return environ.get("SKYHOOKS_BROKER") or f"file://{folder}"


def make_app(environ: Mapping[str, str]) -> Celery:
    """The application with its broker and store from the environment."""
    made = Celery("workers")
    made.conf.update(SETTINGS)
    brokers.configure(made, default_broker(environ))
    return made


app = make_app(os.environ)


@signals.celeryd_init.connect
def _configure_logging(**_: Any) -> None:
    """Have structlog write through Celery's own logging, one line for each event."""
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
