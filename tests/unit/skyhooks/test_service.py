"""Both kinds of service, on the same scripts: what happened is noted in a list."""

import asyncio
import threading
from contextlib import suppress

import pytest

from skyhooks.lifecycle import State, WrongState
from skyhooks.service import BlockingService, Policy, Service

Notes = list[str]


class Noting(Service):
    def __init__(self, name: str, notes: Notes, fails: str = "") -> None:
        super().__init__(name)
        self.notes = notes
        self.fails = fails

    def _note(self, what: str) -> None:
        self.notes.append(f"{what} {self.name}")
        if self.fails == what:
            raise OSError(f"{self.name} cannot {what}")

    async def on_start(self) -> None:
        await asyncio.sleep(0)
        self._note("start")

    async def on_reload(self) -> None:
        self._note("reload")

    async def on_stop(self) -> None:
        self._note("stop")


class NotingBlocking(BlockingService):
    def __init__(self, name: str, notes: Notes, fails: str = "") -> None:
        super().__init__(name)
        self.notes = notes
        self.fails = fails

    _note = Noting._note

    def on_start(self) -> None:
        self._note("start")

    def on_reload(self) -> None:
        self._note("reload")

    def on_stop(self) -> None:
        self._note("stop")


def family(kind: type, fails: str = "", policy: Policy = Policy.ESCALATE) -> tuple[object, Notes]:
    """A root with the children a and b, and the child c below b."""
    notes: Notes = []
    root = kind("root", notes)
    root.add(kind("a", notes))
    b = root.add(kind("b", notes, fails), policy)
    b.add(kind("c", notes))
    return root, notes


LIFE = ["start a", "start c", "start b", "start root"]
END = ["stop root", "stop b", "stop c", "stop a"]


async def test_children_start_first_and_stop_last() -> None:
    root, notes = family(Noting)
    async with root:  # type: ignore[attr-defined]
        assert notes == LIFE
        assert root.state is State.READY  # type: ignore[attr-defined]
        await root.reload()  # type: ignore[attr-defined]
        assert notes[4:] == ["reload root", "reload a", "reload b", "reload c"]
    assert notes[8:] == END
    assert root.state is State.STOPPED  # type: ignore[attr-defined]


def test_blocking_services_have_the_same_order() -> None:
    root, notes = family(NotingBlocking)
    with root:  # type: ignore[attr-defined]
        root.reload()  # type: ignore[attr-defined]
    assert notes == [*LIFE, "reload root", "reload a", "reload b", "reload c", *END]


async def test_a_start_that_fails_half_way_stops_what_had_begun() -> None:
    root, notes = family(Noting, "start")
    with pytest.raises(OSError, match="b cannot start"):
        await root.start()  # type: ignore[attr-defined]
    assert notes == ["start a", "start c", "start b", "stop c", "stop a"]
    assert root.state is State.FAILED  # type: ignore[attr-defined]


def test_so_does_a_blocking_one() -> None:
    root, notes = family(NotingBlocking, "start")
    with pytest.raises(OSError, match="b cannot start"):
        root.start()  # type: ignore[attr-defined]
    assert notes == ["start a", "start c", "start b", "stop c", "stop a"]


async def test_what_cannot_stop_keeps_nothing_else_from_stopping() -> None:
    root, notes = family(Noting, "stop")
    await root.start()  # type: ignore[attr-defined]
    await root.stop()  # type: ignore[attr-defined]
    assert notes[4:] == END


async def test_a_reload_that_fails_is_raised_and_changes_no_state() -> None:
    root, _ = family(Noting, "reload")
    async with root:  # type: ignore[attr-defined]
        with pytest.raises(OSError, match="b cannot reload"):
            await root.reload()  # type: ignore[attr-defined]
        assert {child.state for child, _ in root.children} == {State.READY}  # type: ignore[attr-defined]


async def test_stopping_twice_does_nothing_and_starting_twice_is_a_mistake() -> None:
    async with Service() as service:
        with pytest.raises(WrongState, match="is ready"):
            await service.start()
        await service.stop()
        await service.stop()


async def test_what_was_spawned_ends_with_its_service() -> None:
    ended: Notes = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("work")

    async with Service() as service:
        service.spawn(work())
        await asyncio.sleep(0)
    assert ended == ["work"]


async def test_the_error_of_a_child_s_work_reaches_whoever_waits_for_the_root() -> None:
    async def work() -> None:
        raise OSError("broken")

    root, _ = family(Noting)
    async with root:  # type: ignore[attr-defined]
        (_, (b, _)) = root.children  # type: ignore[attr-defined]
        b.spawn(work())
        with pytest.raises(OSError, match="broken"):
            await root.wait()  # type: ignore[attr-defined]
        outline = root.outline()  # type: ignore[attr-defined]
        assert (outline.state, outline.children[1].error) == ("failed", "broken")


async def test_work_that_is_not_essential_may_fail() -> None:
    async def work() -> None:
        raise OSError("broken")

    async with Service() as service:
        await asyncio.wait([service.spawn(work(), essential=False)])
        assert service.state is State.READY


async def test_a_child_is_started_again_where_that_was_agreed() -> None:
    root, notes = family(Noting, policy=Policy.RESTART)
    async with root:  # type: ignore[attr-defined]
        (_, (b, _)) = root.children  # type: ignore[attr-defined]
        b.fail(OSError("broken"))
        async with asyncio.timeout(10):
            while notes[4:] != ["stop b", "stop c", "start c", "start b"]:
                await asyncio.sleep(0.01)
        assert root.state is State.READY  # type: ignore[attr-defined]


async def test_patience_with_a_child_ends() -> None:
    root = Service("root")
    child = root.add(Service("child"), Policy.RESTART)
    async with root:
        child._failures = Service.patience
        child.fail(OSError("broken"))
        with pytest.raises(OSError, match="broken"):
            await root.wait()


async def test_a_failure_may_be_nothing_but_news() -> None:
    root, _ = family(Noting, policy=Policy.REPORT)
    async with root:  # type: ignore[attr-defined]
        (_, (b, _)) = root.children  # type: ignore[attr-defined]
        b.fail(OSError("broken"))
        assert root.state is State.READY  # type: ignore[attr-defined]
        assert root.outline().children[1].state == "failed"  # type: ignore[attr-defined]


async def test_whoever_waits_goes_on_when_the_service_is_to_end() -> None:
    async with Service() as service:
        service.end()
        await asyncio.wait_for(service.wait(), 10)


def test_threads_of_a_blocking_service_are_told_to_stop() -> None:
    seen = threading.Event()

    def work() -> None:
        service.stopping.wait(10)
        seen.set()

    with BlockingService() as service:
        service.spawn(work)
        assert not service.wait(0.01)
    assert seen.is_set()


def test_the_error_of_a_thread_is_its_service_s() -> None:
    def work() -> None:
        raise OSError("broken")

    root = BlockingService("root")
    child = root.add(BlockingService("child"))
    with root:
        child.spawn(work)
        with pytest.raises(OSError, match="broken"):
            root.wait(10)


def test_a_blocking_child_is_started_again_where_that_was_agreed() -> None:
    root, notes = family(NotingBlocking, policy=Policy.RESTART)
    with root:  # type: ignore[attr-defined]
        (_, (b, _)) = root.children  # type: ignore[attr-defined]
        b.fail(OSError("broken"))
        for thread in list(root._threads):  # type: ignore[attr-defined]
            thread.join(10)
        assert notes[4:] == ["stop b", "stop c", "start c", "start b"]


async def test_work_that_loses_its_cancellation_is_cancelled_again() -> None:
    async def work() -> None:
        for _ in range(2):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        await asyncio.sleep(60)

    async with Service() as service:
        task = service.spawn(work())
        await asyncio.sleep(0)
    assert task.cancelled()
