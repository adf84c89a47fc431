"""A gevent program with a store in MongoDB, as a worker on Celery's gevent pool is one. Says what it found, as JSON."""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import json
import sys
import threading

import gevent
from pymongo import MongoClient

from skyhooks.publication import Draft
from skyhooks.store import open_store

GREENLETS = 20
EACH = 5


def append(name: int) -> None:
    """Append some publications, one after the other."""
    for n in range(EACH):
        store.append([Draft(id=f"{name}-{n}", channels=("accounts/acme",), data=b"1")])


def others_run_while_one_waits() -> bool:
    """Whether a greenlet gets its turn while another waits for the server."""
    with MongoClient(sys.argv[1]) as client:
        held = {"failCommands": ["insert"], "blockConnection": True, "blockTimeMS": 300}
        client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=held)
    waiting = gevent.spawn(append, -1)
    ran = threading.Event()
    gevent.spawn_later(0.01, ran.set)
    turned = ran.wait(5) and not waiting.ready()
    waiting.get()
    return turned


store = open_store(sys.argv[1])
gevent.joinall([gevent.spawn(append, name) for name in range(GREENLETS)], raise_error=True)
turned = others_run_while_one_waits()
offsets = [publication.offset for publication in store.read("accounts/acme", 0, limit=1000).publications]
store.close()
print(json.dumps({"offsets": offsets, "others run": turned}))
