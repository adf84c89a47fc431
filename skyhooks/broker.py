# mypy: disable-error-code="no-untyped-call"
"""The embedded broker: a Celery broker that is a folder, for one machine and nothing to install.

kombu's own ``filesystem`` transport shows a message before it is written and corrupts bindings made at the same
time; this subclass keeps its virtual layer and exchanges, and puts the files in the hands of `BrokerFolder`, whose
rules prevent both. Two more things it adds: a message stays in its consumer's hands until it is acknowledged, and is
queued again when the consumer's process ends without that (`requeue_unfinished`); and queues that nobody holds any
more are swept away.
 The transport is named by setting (``broker_transport``), not by registering a scheme with kombu: kombu has no entry
points for transports, and a registration would be work at import. `configure` writes the settings.
"""

import threading
from pathlib import Path
from queue import Empty
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
import structlog
from kombu.transport import filesystem, virtual
from kombu.utils.json import dumps, loads

from skyhooks.broker_folder import BrokerFolder, Recovered
from skyhooks.ends import has_ended
from skyhooks.errors import SettingsError, StoreError
from skyhooks.store.base import LogStore

log = structlog.get_logger()

TRANSPORT: Final = "skyhooks.broker:Transport"
SCHEMES: Final = ("file", "filesystem")
CONTENT_TYPE: Final = "application/json"
RECOVER_SECONDS: Final = 10.0
"""How often a worker looks for what dead workers have left behind."""


def folder_of(url: str) -> Path | None:
    """The folder that a broker URL ``file:///absolute/folder`` names; None for the URL of another broker.

    Raises `SettingsError` for a folder that is not absolute.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        return None
    if parts.netloc or not parts.path.strip("/"):
        raise SettingsError(f"the embedded broker is file:///absolute/folder; got {url!r}")
    return Path(unquote(parts.path))


def settings_for(url: str) -> dict[str, Any]:
    """The Celery settings for a broker at `url`: the embedded one for ``file:///…``, else any that kombu knows."""
    if folder_of(url) is None:
        return {"broker_url": url}
    return {
        "broker_url": url,
        "broker_transport": TRANSPORT,
        "worker_prefetch_multiplier": 1,
        "broker_connection_retry_on_startup": True,
        "task_serializer": "json",
        "accept_content": ["json"],
    }


def configure(app: Any, url: str) -> None:
    """Point a Celery app at the broker `url`. Raises `SettingsError`."""
    app.conf.update(settings_for(url))


def prepare(url: str) -> None:
    """Make the folders of an embedded broker before anything starts; nothing for another one. Raises `OSError`."""
    root = folder_of(url)
    if root is not None:
        BrokerFolder(root).prepare()


def requeue_unfinished(url: str, store: LogStore) -> Recovered:
    """Queue again what consumers had when they died, except tasks whose end is published; sweep dead queues.

    Safe at any time, next to live workers. Raises `StoreUnavailable`, and then leaves the rest for the next call.
    """
    root = folder_of(url)
    if root is None:
        return Recovered()
    folder = BrokerFolder(root)
    folder.prepare()
    folder.sweep()
    found = folder.recover(lambda payload: _ended(payload, store))
    if found.requeued or found.finished:
        log.warning("broker_recovered", requeued=found.requeued, already_finished=found.finished)
    return found


def keep_recovering(url: str, store: LogStore, stopped: threading.Event, every: float = RECOVER_SECONDS) -> None:
    """Call `requeue_unfinished` now and every `every` seconds until `stopped`: for a thread of a worker."""
    while True:
        try:
            requeue_unfinished(url, store)
        except (StoreError, OSError) as error:
            log.warning("broker_recovery_postponed", error=str(error), seconds=every)
        if stopped.wait(every):
            return


class _Headers(msgspec.Struct, frozen=True):
    id: str | None = None


class _Message(msgspec.Struct):
    headers: _Headers = _Headers()


def _ended(payload: bytes, store: LogStore) -> bool:
    """Whether the end of the task that a message asks for is in the log."""
    try:
        task_id = msgspec.json.decode(payload, type=_Message).headers.id or ""
    except msgspec.DecodeError:
        return False
    return has_ended(store, task_id)


class QoS(virtual.QoS):
    """Acknowledgements reach the folder."""

    def ack(self, delivery_tag: str) -> None:
        """Forget a message."""
        self.channel.folder.settle(delivery_tag)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Forget a message, or queue it again."""
        super().reject(delivery_tag, requeue=requeue)
        if not requeue:
            self.channel.folder.settle(delivery_tag)


class Channel(filesystem.Channel):
    """kombu's filesystem channel on a `BrokerFolder`. The delivery tag is the name of the taken message's file."""

    QoS = QoS

    def __init__(self, connection: "Transport", **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self.folder = connection.folder
        self._no_ack: set[str] = set()

    def get_table(self, exchange: str) -> list[filesystem.exchange_queue_t]:
        """The bindings of an exchange."""
        return [filesystem.exchange_queue_t(*binding) for binding in self.folder.bindings(exchange)]

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> None:
        """Consume a queue; with `no_ack` a message is settled as it is taken."""
        (self._no_ack.add if no_ack else self._no_ack.discard)(queue)
        super().basic_consume(queue, no_ack, *args, **kwargs)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """Take one message; None when there is none."""
        message = super().basic_get(queue, no_ack=no_ack, **kwargs)
        if message is not None and no_ack:
            self.folder.settle(message.delivery_tag)
        return message

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        self.folder.bind(exchange, (routing_key or "", pattern or "", queue or ""))

    def _new_queue(self, queue: str, auto_delete: bool = False, **kwargs: Any) -> None:
        if auto_delete:
            self.folder.hold(queue)

    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:  # type: ignore[override]
        content = payload.get("content-type")
        if content not in (CONTENT_TYPE, None):
            raise SettingsError(
                f"the embedded broker carries JSON only, and this message is {content}: use task_serializer = 'json'"
            )
        self.folder.put(queue, dumps(payload).encode())

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        while (taken := self.folder.take(queue)) is not None:
            try:
                payload: dict[str, Any] = loads(taken.payload.decode())
                payload["properties"]["delivery_tag"] = taken.tag
            except (ValueError, KeyError, TypeError):
                self.folder.set_aside(taken.tag)
                continue
            if queue in self._no_ack:
                self.folder.settle(taken.tag)
            return payload
        raise Empty

    def _restore(self, message: virtual.Message) -> None:
        payload = message.serializable()
        payload["properties"]["delivery_info"]["redelivered"] = True
        self.folder.give_back(message.delivery_tag, dumps(payload).encode())

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **kwargs: Any) -> None:
        self.folder.purge(queue)
        self.folder.unbind(exchange, (routing_key or "", pattern or "", queue or ""))
        self.folder.let_go(queue)

    def _purge(self, queue: str) -> int:
        return self.folder.purge(queue)

    def _size(self, queue: str) -> int:
        return self.folder.size(queue)


class Transport(filesystem.Transport):
    """The transport of ``file:///absolute/folder``; nothing is shared between its connections but the folder."""

    Channel = Channel
    can_parse_url = True
    polling_interval = 0.02
    """Seconds between looks at an empty folder: about 1 % of a core."""

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        # kombu keeps one state for all folders of a process, and so forgets to bind in the second one.
        self.state = virtual.BrokerState()
        root = folder_of(client.hostname)
        if root is None:
            raise SettingsError(f"the embedded broker is file:///absolute/folder; got {client.hostname!r}")
        self.folder = BrokerFolder(root)
        self.folder.prepare()

    def close_connection(self, connection: Any) -> None:
        """Queue unacknowledged messages again, then let go of the folder."""
        super().close_connection(connection)
        self.folder.close()

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """The URL, which carries no password."""
        return uri
