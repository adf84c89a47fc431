"""Everything on one machine, as `skyhooks up` has it, in the background: a tree of processes.

skyhooks start deploy/conf/everything.conf.py -X gateways=3
"""

import os
from functools import partial

from skyhooks.cli import up
from skyhooks.cli.console import Console
from skyhooks.cli.state import State, default_folder
from skyhooks.process import ProcessService
from skyhooks.service import BlockingService
from skyhooks.settings import Setting, Settings, positive

engine = "threads"


class Everything(Settings):
    """What to run."""

    port = Setting(8080, positive(int), "port of the first gateway; the others follow it")
    gateways = Setting(2, positive(int), "how many gateways")
    store = Setting("", str, "another store than the SQLite file in the state folder")
    broker = Setting("", str, "another Celery broker than a folder in the state folder")
    pool = Setting("gevent", str, "the worker's pool")
    concurrency = Setting(100, positive(int), "tasks at a time")


settings = Everything


def service(settings: Everything) -> BlockingService:
    """What runs: the worker last, so that it is stopped first and its results find a gateway to the end."""
    place = State(default_folder(os.environ))
    ports = range(settings.port, settings.port + settings.gateways)
    up.check_ports(ports)
    place.occupy()
    store, broker = settings.store or place.store_url, settings.broker or place.broker_url
    environ = up.environment(place, store, broker)
    up.recover(store, broker)
    numbers = f"{up.HOST}:{up.free_port()}"
    gateways = {
        port: up.gateway_program(number, port, numbers, environ, place.folder) for number, port in enumerate(ports, 1)
    }
    worker = up.worker_program(settings.pool, settings.concurrency, environ, place.folder)
    feed = up.numbers_program(numbers, environ, place.folder)
    console = Console([program.name for program in (feed, *gateways.values(), worker)])
    root = BlockingService("everything")
    root.add(ProcessService(feed, console))
    for port, program in gateways.items():
        root.add(ProcessService(program, console, partial(up.ready, f"http://{up.HOST}:{port}")))
    root.add(ProcessService(worker, console))
    return root
