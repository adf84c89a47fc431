"""All facets of the store together, as steps."""

from skyhooks.store.mongo.append import Appends
from skyhooks.store.mongo.deadlines import Deadlines
from skyhooks.store.mongo.hooks import Hooks
from skyhooks.store.mongo.journal import Journal
from skyhooks.store.mongo.leases import Leases
from skyhooks.store.mongo.news import NewsDesk
from skyhooks.store.mongo.pages import Pages
from skyhooks.store.mongo.results import Results
from skyhooks.store.mongo.retention import Retainer


class Core(Appends, Pages, NewsDesk, Retainer, Leases, Hooks, Results, Journal, Deadlines):
    """What one process knows of one store. Its methods are those of `skyhooks.store.base.Store`, as steps."""
