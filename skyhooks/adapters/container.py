"""Callbacks by key in a program of your own: the blocking core that every framework's `Container` stands on.

::

    container = Container(open_store("mongodb://…"), url="http://10.0.0.7:8888/skyhooks", secret="whsec_…")
    container.start()
    container.register({"account_id": 7}, print)
    container.notify({"account_id": 7}, {"hello": "world"})   # {"status": "ok", "notified": 1, …}

A callback is called once for each publication of its account (or task), in order, whoever took it in: a gateway, this
app, another one, or a worker that wrote to the log itself. It is called at most once: one that raises is reported and
not called again for that publication. A program that must not miss any across its own death keeps the position that
it has dealt with and registers with it the next time.

By itself this is for plain threads: callbacks are called in the watcher's thread, one after the other, so they should
be quick. Nothing is held at module level, and threads begin with `start`: a server that forks calls it after the fork.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from skyhooks.adapters.announcer import Announcer
from skyhooks.adapters.endpoint import Endpoint
from skyhooks.adapters.limits import Limits
from skyhooks.adapters.listener import Callback, Gap, Listener
from skyhooks.adapters.watcher import Dispatch, Watcher, direct
from skyhooks.channel import account_channel, task_channel
from skyhooks.errors import Refused, SettingsError
from skyhooks.intake import Batch, fallback_id
from skyhooks.publication import Draft, Outcome, Position
from skyhooks.registry import hook_keys, hook_url, node_lease
from skyhooks.signature import parse_secrets
from skyhooks.store.base import Store
from skyhooks.webhook import draft_of, encode_webhook, parse_webhook

STOP_SECONDS = 5.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Work(Protocol):
    """Something that runs beside the program."""

    def join(self, timeout: float) -> object:
        """Block for up to `timeout` seconds until it has ended."""
        ...


class Container:
    """Callbacks for what is in `store`.

    - `url`: where workers reach the mount point of this app's endpoint. Empty: the app is not in the registry, and
      hears of everything from the log alone, a tenth of a second later.
    - `secret`: what workers sign with, one or several separated by commas. Without one the endpoint takes anything, so
      `url` must then be on loopback.
    - `node_id`: the app's name in the registry, drawn when empty.
    - `dispatch`: how callbacks are called; the frameworks' containers bring their own.

    The store is the caller's to close, after `stop`. Raises `SettingsError`.
    """

    def __init__(
        self,
        store: Store,
        *,
        url: str = "",
        secret: str = "",
        node_id: str = "",
        dispatch: Dispatch = direct,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self.node_id = node_id or f"app-{secrets.token_hex(4)}"
        self._store = store
        self._url = _checked(url, secret, self.node_id)
        self._limits = limits
        verify_with = parse_secrets(secret)
        self._watcher = Watcher(store, dispatch, limits)
        self._announcer = Announcer(
            store,
            self.node_id,
            self._url,
            self._watcher.channels,
            is_open=not verify_with,
            ttl=limits.lease_seconds,
            linger=limits.linger_seconds,
        )
        self.endpoint = Endpoint(
            self._append, self._watcher.count, verify_with=verify_with, limits=limits, clock=time.time
        )
        self._works: list[Work] = []

    def start(self) -> None:
        """Begin to watch and, with a `url`, to be in the registry. A store that is away is no error here."""
        if self._works:
            raise SettingsError("this container runs already, or has been stopped; make another one")
        self._works.append(self._begin("skyhooks-watcher", self._watcher.run))
        if self._url:
            self._works.append(self._begin("skyhooks-announcer", self._announcer.run))

    def stop(self) -> None:
        """Call no callback any more, leave the registry, and end. Blocks, for a few seconds when the store hangs."""
        self._watcher.clear()
        self._watcher.stop()
        self._announcer.stop()
        for work in self._works:
            # A callback in the watcher's own thread may stop the container.
            if work is not threading.current_thread():
                work.join(STOP_SECONDS)

    def register(
        self,
        keys: Mapping[str, object],
        callback: Callback,
        *,
        since: str | None = None,
        with_position: bool = False,
        on_gap: Callable[[Gap], Any] | None = None,
    ) -> Listener:
        """Have `callback(data)` called for everything about `keys` from now on: ``{"account_id": 7}`` or a task's id.

        `since` begins after a position instead; ``0`` is the start of what is kept. `with_position` makes it
        `callback(data, position)`. `on_gap(gap)` is called where publications are no longer kept. Registering a
        callback again for the same keys changes nothing. The answer's `position` says how far the callback has heard.

        Raises `Refused` (``bad_keys``, ``bad_account``, ``bad_position``) and `StoreError`.
        """
        position = Position.parse(since) if since is not None else None
        channel = channel_of(keys)
        listener = self._watcher.add(channel, callback, position, with_position=with_position, on_gap=on_gap)
        self._announcer.listening(channel)
        return listener

    def unregister(self, keys: Mapping[str, object], callback: Callback) -> bool:
        """Call `callback` no more for `keys`; False when it was not registered. Raises `Refused` as `register` does."""
        return self._watcher.remove(channel_of(keys), callback)

    def notify(self, keys: Mapping[str, object], data: Any, publication_id: str = "") -> dict[str, Any]:
        """Publish `data` for `keys` (an account, a task or both), to everyone who listens anywhere.

        The answer is ``{"status": "ok", "notified": n, "items": […]}`` once it is committed; `notified` counts the
        callbacks of this container that will be called. With the same `publication_id` it is stored once, however often
        it is said. Raises `Refused`, `StoreError`, and `TypeError` or `ValueError` for data that JSON cannot carry.
        """
        named: dict[str, Any] = dict(keys)
        webhook = parse_webhook(encode_webhook(named, data, publication_id))
        batch = Batch([draft_of(webhook, fallback_id())])
        accepted = batch.answer(self._append(batch.drafts), self._watcher.count)
        answer: dict[str, Any] = msgspec.to_builtins(accepted)
        return answer

    def _begin(self, name: str, work: Callable[[], None]) -> Work:
        """Have `work` done beside everything else."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def _append(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        """Commit drafts, then have the watcher look: callbacks are called from the log, never from here."""
        outcomes = self._store.append(drafts)
        for outcome in outcomes:
            for channel, position in outcome.positions.items():
                self._watcher.announce(channel, position)
        return outcomes


def channel_of(keys: Mapping[str, object]) -> str:
    """The channel in which everything about `keys` is published.

    Raises `Refused`: ``bad_keys`` unless it is one ``account_id`` or one ``task_id``; ``bad_account`` for its value.
    """
    checked = hook_keys(keys)
    if set(checked) == {"account_id"}:
        return account_channel(checked["account_id"])
    if set(checked) == {"task_id"}:
        return task_channel(checked["task_id"])
    raise Refused("bad_keys", f"callbacks are for one account_id or one task_id; got {', '.join(sorted(checked))}")


def _checked(url: str, secret: str, node_id: str) -> str:
    try:
        node_lease(node_id)
        if url:
            hook_url(url)
    except Refused as refused:
        raise SettingsError(refused.detail) from refused
    if url and not secret and urlsplit(url).hostname not in _LOOPBACK:
        raise SettingsError(
            f"the url is {url!r}, which others can reach: give the container the secret that workers sign with "
            "(`skyhooks secret` makes one), or a url on 127.0.0.1"
        )
    return url.rstrip("/")
