"""What the tests of the checkup share: apps made wrong on purpose, gateways, and what a check finds of them."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery

from skyhooks.checkup import Check, Subject
from skyhooks.registry import Registry
from skyhooks.signature import make_secret
from skyhooks.store import open_store
from tests.processes import Process, eventually

SECRET = make_secret(bytes(32))
OTHER = make_secret(bytes(range(32)))

SOUND = {
    "result_backend": "skyhooks",
    "broker_url": "memory://",
    "task_track_started": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
}
"""Settings of an app in which nothing is wrong."""


def app(**conf: Any) -> Celery:
    """An app with sound settings, but for these."""
    made = Celery("shop", set_as_current=False)
    made.conf.update({**SOUND, **conf})
    return made


def environment(folder: Path, secret: str = SECRET, **more: str) -> dict[str, str]:
    """The environment of an app with its store, spool and state in `folder`."""
    found = {
        "SKYHOOKS_STORE": f"sqlite://{folder}/store.db",
        "SKYHOOKS_SPOOL": str(folder / "spool"),
        "XDG_STATE_HOME": str(folder / "state"),
        "SKYHOOKS_SECRET": secret,
    }
    return {**found, **more}


def names(check: Check[Subject], subject: Subject) -> list[str]:
    """The names of the mistakes that a check finds; each comes with something to do."""
    findings = list(check(subject))
    assert all(bool(finding.fix) == (finding.level != "ok") for finding in findings), findings
    return [finding.name for finding in findings if finding.level != "ok"]


def announce(subject: Subject, node_id: str, url: str) -> None:
    """Have a node be alive in the store, whatever is at its URL."""
    store = open_store(subject.store_url)
    Registry(store).announce(node_id, url, 60)
    store.close()


@contextmanager
def gateway(env: Mapping[str, str], *options: str, ahead: float = 0.0) -> Iterator[str]:
    """A gateway that is alive in its store, with a clock that is so many seconds ahead; gives its URL."""
    # The clock is set before anything of the gateway is imported, so all of it has this one.
    clock = f"import runpy, time; real = time.time; time.time = lambda: real() + {ahead}"
    run = "runpy.run_module('gateway', run_name='__main__', alter_sys=True)"
    listen = ["--listen", "127.0.0.1:0"]
    process = Process([sys.executable, "-P", "-c", f"{clock}; {run}", *listen, *options], env)
    try:
        found = process.wait_for(r"\blistening\b.* node=(\S+) .*url=(\S+)")
        store = open_store(env["SKYHOOKS_STORE"])
        eventually(lambda: found[1] in [lease.holder for lease in store.leases("nodes/")], what="the gateway's lease")
        store.close()
        yield found[2]
    finally:
        print(f"--- gateway\n{process.output}")
        process.close()
