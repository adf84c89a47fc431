"""Celery's results in SQLite."""

from skyhooks.store.sqlite.facet import Facet


class SqliteResults(Facet):
    """A `ResultStore`."""

    def put_result(self, key: str, value: bytes, ttl: float | None) -> None:
        """See `ResultStore.put_result`."""
        with self._database.writing() as db:
            expires = None if ttl is None else self._database.clock() + ttl
            db.execute("REPLACE INTO result VALUES (?, ?, ?)", (key, value, expires))

    def get_result(self, key: str) -> bytes | None:
        """See `ResultStore.get_result`."""
        with self._database.reading() as db:
            row = db.execute(
                "SELECT value FROM result WHERE key = ? AND (expires IS NULL OR expires > ?)",
                (key, self._database.clock()),
            ).fetchone()
        return row[0] if row else None

    def delete_result(self, key: str) -> None:
        """See `ResultStore.delete_result`."""
        with self._database.writing() as db:
            db.execute("DELETE FROM result WHERE key = ?", (key,))

    def sweep_results(self, limit: int = 1000) -> int:
        """See `ResultStore.sweep_results`."""
        with self._database.writing() as db:
            swept = db.execute(
                "DELETE FROM result WHERE rowid IN (SELECT rowid FROM result WHERE expires <= ? LIMIT ?)",
                (self._database.clock(), limit),
            )
            return swept.rowcount
