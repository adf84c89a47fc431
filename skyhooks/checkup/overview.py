# mypy: disable-error-code="no-untyped-call"
"""What ``celery -A proj skyhooks status`` shows: nodes, store, spool, broker and workers, in figures, now."""

import time
from collections.abc import Iterator
from typing import Final

import msgspec
from celery import Celery
from kombu.connection import Connection

from skyhooks.checkup.spool import Waiting, waiting_in
from skyhooks.checkup.subject import Subject
from skyhooks.checkup.visit import Visit
from skyhooks.registry import APP
from skyhooks.sender import MISCONFIGURED

PING_SECONDS: Final = 1.0
"""How long workers have to answer."""
PLACE: Final = "skyhooks_place"
"""What workers are asked: the remote control command of `skyhooks.cli.celery_command`."""


class NodeLine(msgspec.Struct, frozen=True, kw_only=True):
    """A live node: where it is, whether it takes webhooks unsigned, and whether it answers here (`problem` is empty).

    An app that listens tells no figures.
    """

    id: str
    url: str
    role: str
    open: bool
    problem: str = ""
    version: str = ""
    subscribers: int | None = None
    channels: int | None = None
    uptime: float | None = None


class WorkerLine(msgspec.Struct, frozen=True):
    """A worker that answered a ping, and its result backend, passwords hidden (empty when it did not tell)."""

    name: str
    backend: str = ""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """A system in figures. The problems are empty where all is well; sizes are in bytes, ages in seconds."""

    store: str
    store_problem: str = ""
    nodes: list[NodeLine]
    spool: str
    spool_problem: str = ""
    waiting: Waiting
    broker: str
    broker_problem: str = ""
    queues: dict[str, int]
    workers: list[WorkerLine]

    @property
    def works(self) -> bool:
        """Whether the store and the broker could be asked."""
        return not self.store_problem and not self.broker_problem


def overview(app: Celery, subject: Subject, timeout: float = PING_SECONDS) -> Overview:
    """Ask everyone once; workers have `timeout` seconds to answer. The subject's app is `app`."""
    waiting, spool_problem = Waiting(), ""
    try:
        waiting = waiting_in(subject.spool_folder, time.time())
    except OSError as error:
        spool_problem = str(error.strerror)
    broker, broker_problem = "unknown", ""
    queues, workers = dict[str, int](), list[WorkerLine]()
    try:
        with subject.connections()[0] as connection:
            broker = str(connection.as_uri())
            queues = _queues(app, connection)
            workers = _workers(app, timeout)
    except Exception as error:  # each transport raises its own, also for a library that is not installed
        broker_problem = f"{type(error).__name__}: {error}"
    return Overview(
        store=subject.shown_store,
        store_problem="" if subject.store_error is None else str(subject.store_error),
        nodes=[_node(visit) for visit in subject.visits],
        spool=str(subject.spool_folder),
        spool_problem=spool_problem,
        waiting=waiting,
        broker=broker,
        broker_problem=broker_problem,
        queues=queues,
        workers=workers,
    )


def lines(view: Overview) -> Iterator[str]:
    """An overview as text."""
    yield f"store    {view.store}: {view.store_problem or 'answers'}"
    yield f"nodes    {len(view.nodes) or 'none is alive'}"
    for node in view.nodes:
        yield f"  {node.id}  {node.url}  {_described(node)}"
    yield f"spool    {view.spool}: {view.spool_problem or _waits(view.waiting)}"
    queues = ", ".join(f"{name} {count}" for name, count in sorted(view.queues.items()))
    yield f"broker   {view.broker}: {view.broker_problem or f'waiting: {queues}'}"
    yield f"workers  {len(view.workers) or 'none answers'}"
    for worker in view.workers:
        yield f"  {worker.name}  result backend {worker.backend or 'unknown'}"


def _node(visit: Visit) -> NodeLine:
    node, status = visit.node, visit.status
    problem = visit.failure or visit.unready or (str(visit.refusal) if visit.refusal else "") or _barred(visit)
    line = NodeLine(id=node.id, url=node.url, role=node.role, open=node.open, problem=problem)
    if status is None:
        return line
    if status.node != node.id:
        return msgspec.structs.replace(line, problem=f"the node {status.node} answers there")
    return msgspec.structs.replace(
        line,
        version=status.version,
        subscribers=status.subscribers,
        channels=status.channels,
        uptime=status.uptime,
    )


def _barred(visit: Visit) -> str:
    refused = visit.probe is not None and visit.probe.status in MISCONFIGURED and not visit.node.open
    return f"it refuses our webhooks: {visit.probe}" if refused else ""


def _described(node: NodeLine) -> str:
    parts = ["open" if node.open else "signed"]
    if node.role == APP:
        parts.append("an app")
    parts.append(f"not usable: {node.problem}" if node.problem else "ready")
    if node.subscribers is not None:
        parts.append(f"{node.subscribers} subscribers, {node.channels} channels, up {node.uptime:.0f} s")
    return ", ".join(parts)


def _waits(waiting: Waiting) -> str:
    found = f"{waiting.count} results wait, the oldest for {waiting.oldest:.0f} s" if waiting.count else "empty"
    return found + (f"; {waiting.damaged} damaged files" if waiting.damaged else "")


def _queues(app: Celery, connection: Connection) -> dict[str, int]:
    """How many tasks wait in each queue; one that was never declared is left out. Raises what the transport raises."""
    connection.ensure_connection(max_retries=1, interval_start=0, timeout=connection.connect_timeout)
    found = {}
    for name in app.amqp.queues:
        # A channel each, because RabbitMQ closes one that asks for a queue that is not there.
        with connection.channel() as channel:
            try:
                found[name] = int(channel.queue_declare(queue=name, passive=True).message_count)
            except connection.channel_errors:
                continue
    return found


def _workers(app: Celery, timeout: float) -> list[WorkerLine]:
    names = sorted(app.control.inspect(timeout=timeout).ping() or {})
    if not names:
        return []
    replies = app.control.broadcast(PLACE, reply=True, destination=names, timeout=timeout, limit=len(names))
    places = {name: place for reply in replies or () for name, place in reply.items()}
    return [WorkerLine(name, str(places.get(name, {}).get("backend", ""))) for name in names]
