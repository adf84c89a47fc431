# mypy: disable-error-code="no-untyped-call"
"""What a checkup looks at: this machine and, when there is one, a Celery app, as one of its workers would see it.

Everything that is asked of others (the store, the gateways) is asked once and remembered.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
from celery import Celery
from celery.app.backends import by_url
from kombu.connection import Connection

from skyhooks import brokers
from skyhooks.celery_results import SCHEME, StoredResults
from skyhooks.celery_settings import CelerySettings
from skyhooks.checkup.visit import TIMEOUT, Visit, Visitor
from skyhooks.client import DEFAULT_URL
from skyhooks.errors import SettingsError, StoreError
from skyhooks.gateways import LiveNode
from skyhooks.registry import APP, NODES
from skyhooks.signature import Secret
from skyhooks.store import default_url, open_store
from skyhooks.store.base import Lease, Store

MOST_VISITS: Final = 32
"""Nodes that are visited; a cluster may have more."""


class Subject:
    """This machine with the environment `environ`, and perhaps an `app` that has been loaded.

    `urls` are gateways that are said to belong to it; `broker_url` a broker besides the app's; `embedded` the broker of
    ``skyhooks up`` on this machine, which counts when there is neither app nor `broker_url`.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        app: Celery | None = None,
        *,
        urls: Sequence[str] = (),
        broker_url: str = "",
        embedded: str = "",
    ) -> None:
        self.environ = environ
        self.app = app
        self.urls = tuple(url.rstrip("/") for url in urls)
        self.broker_url = broker_url
        self.embedded = embedded
        self.conf: Any = app.conf if app is not None else {}

    # Settings

    @cached_property
    def settings_error(self) -> str:
        """What is wrong with a setting; then `settings` are the defaults."""
        try:
            CelerySettings.of(self.conf, self.environ)
        except SettingsError as error:
            return str(error)
        return ""

    @cached_property
    def settings(self) -> CelerySettings:
        """The settings of the Celery side."""
        return CelerySettings() if self.settings_error else CelerySettings.of(self.conf, self.environ)

    @cached_property
    def secret_error(self) -> str:
        """What is wrong with the secret; then `secrets` are none."""
        try:
            self.settings.secrets()
        except SettingsError as error:
            return str(error)
        return ""

    @cached_property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets; the first one signs."""
        return () if self.secret_error else self.settings.secrets()

    @cached_property
    def backend(self) -> str:
        """The app's result backend without its URL; empty without an app or a backend."""
        text = str(getattr(self.conf, "result_backend", None) or "")
        return text.partition("+")[0].partition(":")[0]

    @cached_property
    def backend_error(self) -> str:
        """Why the app's result backend is not that of skyhooks; empty when it is, and without an app."""
        if self.app is None:
            return ""
        try:
            found, _ = by_url(self.conf.result_backend, self.app.loader)
        except Exception as error:  # Celery's ImproperlyConfigured, or whatever the import of a backend raises
            return f"{type(error).__name__}: {error}"
        return "" if isinstance(found, type) and issubclass(found, StoredResults) else "it is another one"

    # The store

    @cached_property
    def store_url(self) -> str:
        """Where a worker's store is: in its result backend, else in its settings, else the default one."""
        given = self.conf.get("skyhooks_store")
        if given is not None and not isinstance(given, str):
            return str(given.url)
        url = None if self.backend_error or self.app is None else by_url(self.conf.result_backend, self.app.loader)[1]
        if url and not url.startswith(f"{SCHEME}:"):
            return str(url)
        return self.settings.store or default_url(self.environ)

    @property
    def shown_store(self) -> str:
        """The store's URL without user, password and options."""
        scheme, separator, rest = self.store_url.partition("://")
        return scheme + separator + rest.partition("?")[0].rpartition("@")[2]

    @cached_property
    def store_error(self) -> StoreError | None:
        """What happens when a value is written to the store, read and deleted."""
        key, value = f"checkup-{secrets.token_hex(8)}", secrets.token_bytes(8)

        def exchange(store: Store) -> StoreError | None:
            store.put_result(key, value, 60.0)
            read = store.get_result(key)
            store.delete_result(key)
            return None if read == value else StoreError(f"{self.shown_store} forgets what is written")

        error: StoreError | None = self._with_store(exchange, lambda error: error)
        return error

    @cached_property
    def nodes(self) -> tuple[LiveNode, ...]:
        """The live nodes in the store, with their base URLs, by id; none when the store does not work."""
        if self.store_error is not None:
            return ()
        leases = self._with_store(lambda store: store.leases(NODES), lambda _: [])
        return tuple(node for lease in leases if (node := _node_of(lease)) is not None)

    def _with_store(self, ask: Callable[[Store], Any], otherwise: Callable[[StoreError], Any]) -> Any:
        try:
            store = open_store(self.store_url)
            try:
                return ask(store)
            finally:
                store.close()
        except StoreError as error:
            return otherwise(error)

    @cached_property
    def spool_folder(self) -> Path:
        """Where this machine's workers keep what they could not deliver."""
        return self.settings.spool_folder(self.store_url, self.environ)

    # Gateways

    @cached_property
    def visitor(self) -> Visitor:
        """Who makes the visits."""
        return Visitor(self.secrets, self.settings.ca)

    @cached_property
    def visits(self) -> tuple[Visit, ...]:
        """Visits to the live nodes, the first `MOST_VISITS` of them."""
        return tuple(map(self.visitor, self.nodes[:MOST_VISITS]))

    @property
    def gateways(self) -> tuple[Visit, ...]:
        """The visits to gateways, apps that listen aside."""
        return tuple(visit for visit in self.visits if visit.node.role != APP)

    @cached_property
    def elsewhere(self) -> tuple[Visit, ...]:
        """Visits to the gateways that are said to belong here; to the default URL when the store has none."""
        urls = self.urls or (() if self.nodes else (DEFAULT_URL,))
        known = {visit.node.url: visit for visit in self.visits}
        return tuple(known.get(url) or self.visitor(LiveNode("", url)) for url in urls)

    # Brokers

    def connections(self) -> list[Connection]:
        """An unopened connection to each broker: the app's, and the one that was named, or the embedded one."""
        made = []
        if self.app is not None:
            made.append(self.app.connection_for_write(connect_timeout=TIMEOUT))
        url = self.broker_url or ("" if made else self.embedded)
        if url and url != str(getattr(self.conf, "broker_url", "")):
            settings = brokers.settings_for(url)
            options = settings.get("broker_transport_options", {})
            transport = settings.get("broker_transport")
            made.append(Connection(url, transport=transport, transport_options=options, connect_timeout=TIMEOUT))
        return made


class _Info(msgspec.Struct, frozen=True):
    url: str
    open: bool = False
    role: str = "gateway"


def _node_of(lease: Lease) -> LiveNode | None:
    try:
        info = msgspec.json.decode(lease.info, type=_Info)
    except msgspec.DecodeError:
        return None
    return LiveNode(lease.name.removeprefix(NODES), info.url.rstrip("/"), info.open, info.role)
