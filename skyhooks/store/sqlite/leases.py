"""Leases in SQLite. A row stays when its lease ends: it remembers the term."""

from skyhooks.store.base import Lease
from skyhooks.store.sqlite.facet import Facet


class SqliteLeases(Facet):
    """A `LeaseStore`."""

    def lease(self, name: str, holder: str, ttl: float, info: str = "{}") -> Lease | None:
        """See `LeaseStore.lease`."""
        with self._database.writing() as db:
            now = self._database.clock()
            row = db.execute("SELECT holder, term, expires FROM lease WHERE name = ?", (name,)).fetchone()
            held_by, term, expires = row or ("", 0, 0.0)
            if expires > now and held_by != holder:
                return None
            if expires <= now:
                term += 1
            db.execute("REPLACE INTO lease VALUES (?, ?, ?, ?, ?)", (name, holder, term, now + ttl, info))
        return Lease(name, holder, term, ttl, info)

    def release(self, name: str, holder: str, term: int) -> bool:
        """See `LeaseStore.release`."""
        with self._database.writing() as db:
            now = self._database.clock()
            ended = db.execute(
                "UPDATE lease SET expires = ? WHERE name = ? AND holder = ? AND term = ? AND expires > ?",
                (now, name, holder, term, now),
            )
            return ended.rowcount == 1

    def leases(self, prefix: str) -> list[Lease]:
        """See `LeaseStore.leases`."""
        with self._database.reading() as db:
            now = self._database.clock()
            rows = db.execute(
                "SELECT name, holder, term, expires - ?, info FROM lease"
                " WHERE substr(name, 1, length(?)) = ? AND expires > ? ORDER BY name",
                (now, prefix, prefix, now),
            )
            return [Lease(*row) for row in rows]
