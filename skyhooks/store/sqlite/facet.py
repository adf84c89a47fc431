"""What every facet of the SQLite store stands on."""

from skyhooks.store.sqlite.database import Database


class Facet:
    """A part of the store that works on the file of `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database
