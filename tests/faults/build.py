"""The test build: the real programs, started with crash points in them and, if asked for, with one planted bug.

``python -m tests.faults.build gateway run CONF.py …`` takes the arguments of ``skyhooks``, ``worker …`` those of
``celery``. Nothing of this is in the
programs themselves: the points are wrapped around their functions here, so no production build can be told to crash.

A crash point is armed by a file: ``FAULTS_ARMED`` names it, and it holds the name of a point. The process that next
comes to that point takes the file away, adds a line to ``FAULTS_HITS`` and kills itself, as SIGKILL would from outside.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

GATEWAY_POINTS: Final = ("before-commit", "after-commit", "after-reply", "replay")
LEADER_POINTS: Final = ("bridge",)
WORKER_POINTS: Final = ("before-post", "after-post")
MESH_PORTS: Final = "FAULTS_MESH"
"""``REAL:PUBLIC``: the port that the mesh is bound to, and the one under which the others are to know it."""
LOSS: Final = "FAULTS_LOSS"
"""A file; while it is there, this node's mesh loses the share of its incoming frames that is written in it."""
REPLY_SECONDS: Final = 0.05
"""For how long a node that dies after its reply goes on: the reply is on its way by then."""


def armed(point: str) -> bool:
    """Whether this process is to die at `point`, now; says so once, to one process."""
    path = os.environ.get("FAULTS_ARMED", "")
    with suppress(OSError):
        if path and Path(path).read_text() == point:
            os.unlink(path)
            with open(os.environ["FAULTS_HITS"], "a") as hits:
                hits.write(f"{point}\n")
            return True
    return False


def die() -> None:
    """End at once, with nothing flushed, closed or said."""
    os.kill(os.getpid(), signal.SIGKILL)


def at(point: str) -> None:
    """Die here if this point is armed."""
    if armed(point):
        die()


def prepare_gateway() -> None:
    """Wrap the crash points and the wires of a gateway."""
    from gateway.appender import Appender
    from gateway.bridge import Bridge
    from gateway.hub.channel import Channel

    original_init, original_commit = Appender.__init__, Appender._commit
    original_store, original_replayed = Bridge._store, Channel.replayed

    def init(self: Appender, store: Any, committed: Callable[..., None], **options: Any) -> None:
        def fan_out(drafts: Sequence[Any], outcomes: Sequence[Any]) -> None:
            at("after-commit")
            if armed("after-reply"):
                asyncio.get_running_loop().call_later(REPLY_SECONDS, die)
            else:
                committed(drafts, outcomes)

        original_init(self, store, fan_out, **options)

    async def commit(self: Appender, batch: list[Any]) -> None:
        at("before-commit")
        await original_commit(self, batch)

    async def store(self: Bridge, drafts: Sequence[Any]) -> None:
        await original_store(self, drafts)
        at("bridge")

    def replayed(self: Channel, subscribers: Sequence[Any], page: Any) -> None:
        original_replayed(self, subscribers, page)
        at("replay")

    replace(Appender, "__init__", init)
    replace(Appender, "_commit", commit)
    replace(Bridge, "_store", store)
    replace(Channel, "replayed", replayed)
    _prepare_mesh()


def _prepare_mesh() -> None:
    import random

    import msgspec

    from gateway.membership import Membership
    from gateway.mesh.transport import Mesh

    real, _, public = os.environ.get(MESH_PORTS, "").partition(":")
    loss = Path(os.environ.get(LOSS, "/nonexistent"))
    original_member, original_mesh = Membership.member, Mesh.__init__

    def member(self: Membership, url: str, host: str) -> Any:
        own = original_member(self, url, host)
        return msgspec.structs.replace(own, mesh=own.mesh.replace(f":{real}", f":{public}")) if real else own

    def drop() -> bool:
        try:
            return random.random() < float(loss.read_text())
        except (OSError, ValueError):
            return False

    def init(self: Mesh, *arguments: Any, **options: Any) -> None:
        original_mesh(self, *arguments, **options)
        self.drop = drop

    replace(Membership, "member", member)
    replace(Mesh, "__init__", init)


def prepare_worker() -> None:
    """Wrap the crash points of a worker: around the post of a task's end."""
    from skyhooks.sender import Sender

    original = Sender.publish

    def publish(self: Sender, parcels: Sequence[Any]) -> None:
        ends = any(parcel.ended for parcel in parcels)
        if ends:
            at("before-post")
        original(self, parcels)
        if ends:
            at("after-post")

    replace(Sender, "publish", publish)


def replace(owner: Any, name: str, instead: Any) -> None:
    """Put `instead` in the place of something that must be there: a renamed function must not disarm the harness."""
    if name not in vars(owner):
        raise AttributeError(f"{owner} has no {name} of its own any more: tell tests/faults of its new name")
    setattr(owner, name, instead)


def main() -> None:
    from tests.faults import bugs

    role, *rest = sys.argv[1:]
    sys.argv[1:] = rest
    if role == "gateway":
        prepare_gateway()
        bugs.plant(os.environ.get(bugs.PLANTED, ""))
        from skyhooks.cli import main as command

        command(prog_name="skyhooks")
    else:
        if "gevent" in rest:
            # As celery's own command does, before anything else is imported.
            from celery import maybe_patch_concurrency

            maybe_patch_concurrency()
        prepare_worker()
        bugs.plant(os.environ.get(bugs.PLANTED, ""))
        from celery.__main__ import main as work

        sys.argv[0] = "celery"
        work()


if __name__ == "__main__":
    main()
