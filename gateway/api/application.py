"""The control plane as a Tornado application: every route of a gateway that is not the data plane."""

from collections.abc import Sequence
from typing import Any

from tornado.web import Application

from gateway.api.control import Control
from gateway.api.dashboard import routes as dashboard_routes
from gateway.api.handler import UnknownPath, log_answer
from gateway.api.health import HealthHandler, ReadyHandler, StatusHandler
from gateway.api.hooks import HookHandler, HooksHandler
from gateway.api.openapi import OpenApiHandler
from gateway.api.tasks import TaskHandler, TasksHandler


def make_application(
    control: Control,
    *,
    openapi: bytes = b"{}",
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    compress: bool = True,
) -> Application:
    """The application of one node.

    `openapi` is the document that is served (see `gateway.api.openapi`). `hosts` and `origins` are
    the settings of these names (see `gateway.auth`); `compress` sends text compressed to clients that accept it.
    """
    return Application(
        [*routes(control, openapi), *dashboard_routes()],
        default_handler_class=UnknownPath,
        log_function=log_answer,
        compress_response=compress,
        hosts=tuple(hosts),
        origins=tuple(origins),
    )


def routes(control: Control, openapi: bytes) -> list[tuple[str, Any, dict[str, Any]]]:
    """Path, handler and what the handler is given."""
    given = {"control": control}
    return [
        (r"/healthz", HealthHandler, given),
        (r"/readyz", ReadyHandler, given),
        (r"/api/status", StatusHandler, given),
        (r"/api/tasks", TasksHandler, given),
        (r"/api/tasks/([^/]+)", TaskHandler, given),
        (r"/api/hooks", HooksHandler, given),
        (r"/api/hooks/([^/]+)", HookHandler, given),
        (r"/openapi\.json", OpenApiHandler, {"document": openapi}),
    ]
