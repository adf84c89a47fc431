"""What a tree does when things go wrong in it; the order of a life is in test_service.py."""

import asyncio
import threading
from typing import ClassVar

import pytest

from skyhooks.backoff import Backoff
from skyhooks.lifecycle import State, WrongState
from skyhooks.service import BlockingService, Policy, Service, Tree

SOON = Backoff(first=0.001, most=0.002)


class Patient(Service):
    backoff = SOON


class Brittle(Service):
    """Its start fails from the second time on."""

    starts = 0

    def on_start(self) -> None:
        self.starts += 1
        if self.starts > 1:
            raise OSError(f"start {self.starts}")


async def until(condition: object) -> None:
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.001)


async def test_a_child_that_fails_while_its_parent_starts_ends_the_start_with_its_error() -> None:
    class Slow(Service):
        async def on_start(self) -> None:
            child.fail(OSError("broken"))
            await asyncio.sleep(0)

    root = Slow("root")
    child = root.add(Service("child"))
    with pytest.raises(OSError, match="broken"):
        await root.start()
    assert (root.state, child.state) == (State.FAILED, State.STOPPED)


async def test_work_that_fails_while_its_service_starts_ends_the_start_with_its_error() -> None:
    class Slow(Service):
        async def on_start(self) -> None:
            async def work() -> None:
                raise OSError("broken")

            await asyncio.wait([self.spawn(work())])

    with pytest.raises(OSError, match="broken"):
        await Slow().start()


async def test_what_did_not_start_is_not_asked_to_stop() -> None:
    stops: list[int] = []

    class Once(Brittle):
        def on_stop(self) -> None:
            stops.append(self.starts)

    service = Once()
    async with service:
        pass
    with pytest.raises(OSError, match="start 2"):
        await service.start()
    await service.stop()
    assert (service.state, stops) == (State.STOPPED, [1])


async def test_a_start_that_is_cancelled_stops_what_had_begun() -> None:
    class Endless(Service):
        async def on_start(self) -> None:
            await asyncio.sleep(3600)

    root = Endless()
    child = root.add(Service("child"))
    starting = asyncio.create_task(root.start())
    await until(lambda: child.state is State.READY)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (root.state, child.state) == (State.FAILED, State.STOPPED)


async def test_a_stop_that_is_cancelled_stops_the_rest_all_the_same() -> None:
    class Endless(Service):
        async def on_stop(self) -> None:
            await asyncio.sleep(3600)

    root = Endless()
    child = root.add(Service("child"))
    await root.start()
    stopping = asyncio.create_task(root.stop())
    await until(lambda: root.state is State.STOPPING)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert (root.state, child.state) == (State.STOPPED, State.STOPPED)


async def test_a_stop_waits_for_the_reload_that_is_under_way() -> None:
    notes: list[str] = []

    class Slow(Service):
        async def on_reload(self) -> None:
            await asyncio.sleep(0.01)
            notes.append("reloaded")

        def on_stop(self) -> None:
            notes.append("stopped")

    service = Slow()
    await service.start()
    reloading = asyncio.create_task(service.reload())
    await until(lambda: service.state is State.RELOADING)
    await service.stop()
    await reloading
    assert notes == ["reloaded", "stopped"]


async def test_a_service_is_reloading_until_its_children_have_reloaded() -> None:
    seen: list[State] = []

    class Child(Service):
        def on_reload(self) -> None:
            seen.append(root.state)

    root = Service("root")
    root.add(Child())
    async with root:
        await root.reload()
        assert (seen, root.state) == ([State.RELOADING], State.READY)


async def test_one_that_cannot_reload_keeps_no_other_from_it() -> None:
    reloaded: list[str] = []

    class Child(Service):
        def on_reload(self) -> None:
            if self.name == "first":
                raise OSError("broken")
            reloaded.append(self.name)

    root = Service("root")
    for name in ("first", "second"):
        root.add(Child(name))
    async with root:
        with pytest.raises(OSError, match="broken"):
            await root.reload()
        assert reloaded == ["second"]


async def test_a_child_that_cannot_come_back_fails_its_parent_when_patience_ends() -> None:
    root = Patient("root")
    child = root.add(Brittle("child"), Policy.RESTART)
    async with root:
        child.fail(OSError("broken"))
        with pytest.raises(OSError, match="start"):
            await root.wait()
        assert child.starts == 1 + root.patience


async def test_a_child_that_was_ready_for_a_while_has_its_parents_patience_again() -> None:
    class Forgetful(Patient):
        settled: ClassVar[float] = 0.0

    root = Forgetful("root")
    child = root.add(Service("child"), Policy.RESTART)
    async with root:
        for _ in range(2 * root.patience):
            child.fail(OSError("broken"))
            await until(lambda: child.state is State.READY)
        assert root.state is State.READY


async def test_a_child_is_not_started_again_once_its_parent_stops() -> None:
    class Last(Patient):
        def on_stop(self) -> None:
            child.fail(OSError("broken"))

    root = Last("root")
    child = root.add(Service("child"), Policy.RESTART)
    async with root:
        pass
    assert (root.state, child.state) == (State.STOPPED, State.STOPPED)


async def test_a_child_that_fails_while_its_sibling_stops_disturbs_nobody() -> None:
    stopped: list[str] = []

    class Rude(Service):
        def on_stop(self) -> None:
            sibling.fail(OSError("broken"))
            stopped.append(self.name)

    root = Patient("root")
    sibling = root.add(Service("sibling"), Policy.RESTART)
    root.add(Rude())
    async with root:
        pass
    assert stopped == ["rude"]
    assert sibling.state is State.STOPPED


async def test_watchers_are_told_of_every_change_below_them() -> None:
    seen: list[str] = []
    root = Service("root")
    child = root.add(Service("child"))

    def note(service: Tree) -> None:
        seen.append(f"{service.name} {service.state.value}")

    root.watch(note)
    async with root:
        child.fail(OSError("broken"))
    assert seen == [
        *("root starting", "child starting", "child ready", "root ready"),
        *("child failed", "root failed"),
        *("root stopping", "child stopping", "child stopped", "root stopped"),
    ]


async def test_a_watcher_that_fails_changes_nothing() -> None:
    def broken(service: Tree) -> None:
        raise OSError("broken")

    root = Service()
    root.watch(broken)
    async with root:
        assert root.state is State.READY


async def test_nothing_is_spawned_before_the_start_or_after_the_stop() -> None:
    async def work() -> None:
        raise AssertionError("it must not run")

    service = Service()
    with pytest.raises(WrongState, match="is new"):
        service.spawn(work())
    async with service:
        pass
    with pytest.raises(WrongState, match="is stopped"):
        service.spawn(work())
    with pytest.raises(WrongState, match="is new"):
        BlockingService().spawn(lambda: None)


async def test_a_child_is_added_once_and_before_the_start() -> None:
    root, child = Service("root"), Service("child")
    root.add(child)
    with pytest.raises(WrongState, match="child belongs to root already"):
        Service("other").add(child)
    async with root:
        with pytest.raises(WrongState, match="root is ready"):
            root.add(Service("late"))


async def test_a_service_can_start_again_after_it_has_stopped() -> None:
    service = Service()
    for _ in range(2):
        async with service:
            assert service.state is State.READY
            assert not service._over.is_set()


def test_a_coroutine_is_no_hook_of_a_blocking_service() -> None:
    class Mixed(BlockingService):
        async def on_start(self) -> None:
            raise AssertionError("it must not run")

    with pytest.raises(WrongState, match="no coroutine function"):
        Mixed().start()


def test_a_failure_and_a_stop_in_two_threads_do_not_meet() -> None:
    for _ in range(50):
        service = BlockingService()
        service.start()
        failing = threading.Thread(target=service.fail, args=(OSError("broken"),))
        failing.start()
        service.stop()
        failing.join(10)
        assert service.state is State.STOPPED


def test_an_outline_shows_errors_and_details() -> None:
    class Talking(BlockingService):
        detail = "port 7000"  # type: ignore[assignment]

    root = Talking("root")
    child = root.add(Talking("child"), Policy.REPORT)
    with root:
        child.fail(OSError("broken"))
        outline = root.outline()
    assert (outline.state, outline.detail, outline.error) == ("ready", "port 7000", "")
    assert (outline.children[0].state, outline.children[0].error) == ("failed", "broken")
