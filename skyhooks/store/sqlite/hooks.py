"""The registry's hooks in SQLite. A worker asks for the hooks of a key before each batch, so that has an index."""

from collections.abc import Mapping
from typing import Final

import msgspec

from skyhooks.store.base import Hook
from skyhooks.store.sqlite.facet import Facet

_COLUMNS: Final = "id, kind, keys, url, node"
_LIVE: Final = "(kind <> 'gateway' OR EXISTS (SELECT 1 FROM lease WHERE name = 'nodes/' || node AND expires > :now))"


class SqliteHooks(Facet):
    """A `HookStore`."""

    def add_hook(self, hook: Hook) -> Hook:
        """See `HookStore.add_hook`."""
        keys = _encode(hook.keys)
        same = (_anchor(hook.keys), keys, hook.kind, hook.url, hook.node)
        with self._database.writing() as db:
            row = db.execute(
                f"SELECT {_COLUMNS} FROM hook WHERE anchor = ? AND keys = ? AND kind = ? AND url = ? AND node = ?",  # noqa: S608
                same,
            ).fetchone()
            if row:
                return _decode(row)
            db.execute(
                "INSERT INTO hook (id, at, anchor, keys, kind, url, node) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (hook.id, self._database.clock(), *same),
            )
        return hook

    def remove_hook(self, hook_id: str) -> bool:
        """See `HookStore.remove_hook`."""
        with self._database.writing() as db:
            return db.execute("DELETE FROM hook WHERE id = ?", (hook_id,)).rowcount == 1

    def hooks(self, keys: Mapping[str, str] | None = None, kind: str | None = None) -> list[Hook]:
        """See `HookStore.hooks`."""
        given = None if keys is None else [f"{name}={value}" for name, value in keys.items()] + [""]
        search = {"now": self._database.clock(), "kind": kind, "anchors": msgspec.json.encode(given).decode()}
        chosen = "TRUE" if keys is None else "anchor IN (SELECT value FROM json_each(:anchors))"
        query = (
            f"SELECT {_COLUMNS} FROM hook"  # noqa: S608 constants only
            f" WHERE {chosen} AND (:kind IS NULL OR kind = :kind) AND {_LIVE} ORDER BY number"
        )
        with self._database.reading() as db:
            found = [_decode(row) for row in db.execute(query, search)]
        return [hook for hook in found if keys is None or hook.keys.items() <= keys.items()]

    def sweep_hooks(self, age: float = 3600.0) -> int:
        """See `HookStore.sweep_hooks`."""
        query = f"DELETE FROM hook WHERE at < :now AND NOT {_LIVE}"  # noqa: S608 constants only
        with self._database.writing() as db:
            return db.execute(query, {"now": self._database.clock() - age}).rowcount


def _encode(keys: Mapping[str, str]) -> str:
    return msgspec.json.encode(keys, order="sorted").decode()


def _anchor(keys: Mapping[str, str]) -> str:
    return min((f"{name}={value}" for name, value in keys.items()), default="")


def _decode(row: tuple[str, str, str, str, str]) -> Hook:
    hook_id, kind, keys, url, node = row
    decoded = msgspec.json.decode(keys)
    return msgspec.convert({"id": hook_id, "kind": kind, "keys": decoded, "url": url, "node": node}, Hook)
