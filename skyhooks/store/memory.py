"""The store in dictionaries: one process, gone with it. The readable model that the other stores are compared with."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from skyhooks.store.base import Deadline, Hook, JournalEntry, Lease
from skyhooks.store.memory_log import MemoryLog


@dataclass(slots=True)
class _Lease:
    holder: str
    term: int
    expires: float
    info: str


class MemoryStore(MemoryLog):
    """A `Store` at ``memory://``. `clock` gives the store's time in seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self.url = "memory://"
        self._leases: dict[str, _Lease] = {}
        self._hooks: dict[str, tuple[Hook, float]] = {}
        self._results: dict[str, tuple[bytes, float | None]] = {}
        self._journal: list[JournalEntry] = []
        self._deadlines: dict[tuple[str, str], tuple[Deadline, float]] = {}

    # Leases

    def lease(self, name: str, holder: str, ttl: float, info: str = "{}") -> Lease | None:
        """See `LeaseStore.lease`."""
        with self._lock:
            now = self._clock()
            held = self._leases.get(name)
            live = held is not None and held.expires > now
            if held is not None and live and held.holder != holder:
                return None
            term = 1 if held is None else held.term if live else held.term + 1
            self._leases[name] = _Lease(holder, term, now + ttl, info)
            return Lease(name, holder, term, ttl, info)

    def release(self, name: str, holder: str, term: int) -> bool:
        """See `LeaseStore.release`."""
        with self._lock:
            now = self._clock()
            held = self._leases.get(name)
            if held is None or (held.holder, held.term) != (holder, term) or held.expires <= now:
                return False
            held.expires = now
            return True

    def leases(self, prefix: str) -> list[Lease]:
        """See `LeaseStore.leases`."""
        with self._lock:
            now = self._clock()
            return [
                Lease(name, held.holder, held.term, held.expires - now, held.info)
                for name, held in sorted(self._leases.items())
                if name.startswith(prefix) and held.expires > now
            ]

    def _node_since(self, node: str, then: float) -> bool:
        held = self._leases.get(f"nodes/{node}")
        return held is not None and held.expires > then

    # Hooks

    def add_hook(self, hook: Hook) -> Hook:
        """See `HookStore.add_hook`."""
        with self._lock:
            for known, _ in self._hooks.values():
                if (known.kind, known.keys, known.url, known.node) == (hook.kind, hook.keys, hook.url, hook.node):
                    return known
            self._hooks[hook.id] = (hook, self._clock())
            return hook

    def remove_hook(self, hook_id: str) -> bool:
        """See `HookStore.remove_hook`."""
        with self._lock:
            return self._hooks.pop(hook_id, None) is not None

    def hooks(self, keys: Mapping[str, str] | None = None, kind: str | None = None) -> list[Hook]:
        """See `HookStore.hooks`."""
        with self._lock:
            now = self._clock()
            return [
                hook
                for hook, _ in self._hooks.values()
                if (kind is None or hook.kind == kind)
                and (keys is None or hook.keys.items() <= keys.items())
                and (hook.kind != "gateway" or self._node_since(hook.node, now))
            ]

    def sweep_hooks(self, age: float = 3600.0) -> int:
        """See `HookStore.sweep_hooks`."""
        with self._lock:
            then = self._clock() - age
            gone = [
                hook.id
                for hook, at in self._hooks.values()
                if hook.kind == "gateway" and at < then and not self._node_since(hook.node, then)
            ]
            for hook_id in gone:
                del self._hooks[hook_id]
            return len(gone)

    # Results

    def put_result(self, key: str, value: bytes, ttl: float | None) -> None:
        """See `ResultStore.put_result`."""
        with self._lock:
            self._results[key] = (value, None if ttl is None else self._clock() + ttl)

    def get_result(self, key: str) -> bytes | None:
        """See `ResultStore.get_result`."""
        with self._lock:
            value, expires = self._results.get(key, (None, None))
            return value if expires is None or expires > self._clock() else None

    def delete_result(self, key: str) -> None:
        """See `ResultStore.delete_result`."""
        with self._lock:
            self._results.pop(key, None)

    def sweep_results(self, limit: int = 1000) -> int:
        """See `ResultStore.sweep_results`."""
        with self._lock:
            now = self._clock()
            gone = [key for key, (_, expires) in self._results.items() if expires is not None and expires <= now]
            for key in gone[:limit]:
                del self._results[key]
            return len(gone[:limit])

    # The journal

    def add_journal(self, entries: Sequence[JournalEntry]) -> None:
        """See `JournalStore.add_journal`."""
        with self._lock:
            now = self._clock()
            self._journal.extend(msgspec.structs.replace(entry, at=now) for entry in entries)

    def journal(
        self, account: str | None = None, since: float = 0.0, limit: int = 1000, task_id: str | None = None
    ) -> list[JournalEntry]:
        """See `JournalStore.journal`."""
        with self._lock:
            chosen = [e for e in self._journal if e.at >= since and account in (None, e.account)]
            chosen = [e for e in chosen if task_id in (None, e.task_id)]
            return sorted(chosen, key=lambda entry: entry.at)[:limit]

    def trim_journal(self, age: float) -> int:
        """See `JournalStore.trim_journal`."""
        with self._lock:
            before = len(self._journal)
            self._journal = [entry for entry in self._journal if entry.at >= self._clock() - age]
            return before - len(self._journal)

    # Deadlines

    def add_deadlines(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore.add_deadlines`."""
        with self._lock:
            now = self._clock()
            for one in deadlines:
                self._deadlines.setdefault((one.task_id, one.reason), (one, now))

    def overdue(self, limit: int = 100) -> list[Deadline]:
        """See `DeadlineStore.overdue`."""
        with self._lock:
            now = self._clock()
            due = [(at + one.seconds, at, one) for one, at in self._deadlines.values() if at + one.seconds <= now]
            due.sort(key=lambda entry: entry[0])
            return [msgspec.structs.replace(one, age=now - at) for _, at, one in due[:limit]]

    def settle_deadlines(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore.settle_deadlines`."""
        with self._lock:
            for one in deadlines:
                self._deadlines.pop((one.task_id, one.reason), None)

    def close(self) -> None:
        """See `Store.close`."""
