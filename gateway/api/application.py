"""The control plane as a Tornado application: every route of a gateway that is not the data plane."""

from collections.abc import Sequence
from typing import Any

from tornado.web import Application

from gateway.api.control import Control
from gateway.api.dashboard import routes as dashboard_routes
from gateway.api.handler import UnknownPath, log_answer
from gateway.api.health import HealthHandler, ReadyHandler, StatusHandler
from gateway.api.hooks import HookHandler, HooksHandler
from gateway.api.journal import JournalHandler, JournalReader
from gateway.api.nodes import Cluster, DrainHandler, NodesHandler, PresenceHandler
from gateway.api.openapi import OpenApiHandler
from gateway.api.tasks import TaskHandler, TasksHandler


def make_application(
    control: Control,
    *,
    cluster: Cluster | None = None,
    journal: JournalReader | None = None,
    openapi: bytes = b"{}",
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    compress: bool = True,
) -> Application:
    """The application of one node.

    Without `cluster` or `journal` it has no routes for these. `openapi` is the document that is served (see
    `gateway.api.openapi`). `hosts` and `origins` are
    the settings of these names (see `gateway.auth`); `compress` sends text compressed to clients that accept it.
    """
    return Application(
        [*routes(control, openapi), *cluster_routes(cluster, journal), *dashboard_routes()],
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


def cluster_routes(cluster: Cluster | None, journal: JournalReader | None) -> list[tuple[str, Any, dict[str, Any]]]:
    """The same for what concerns more than one node; nothing where that is not there."""
    found: list[tuple[str, Any, dict[str, Any]]] = []
    if cluster is not None:
        found += [
            (r"/api/nodes", NodesHandler, {"cluster": cluster}),
            (r"/api/nodes/([^/]+)/drain", DrainHandler, {"cluster": cluster}),
            (r"/api/channels/(.+)/presence", PresenceHandler, {"cluster": cluster}),
        ]
    if journal is not None:
        found.append((r"/api/journal", JournalHandler, {"journal": journal}))
    return found
