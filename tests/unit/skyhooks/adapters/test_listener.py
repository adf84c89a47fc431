"""A listener hears a contiguous run in order; what a callback does cannot make it hear anything twice."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from skyhooks.adapters.listener import Gap, Handover, Listener
from skyhooks.publication import START, Position, Publication
from skyhooks.store.base import Page


def page(first: int, *values: bytes, epoch: str = "e", after: int | None = None, head: int = 0) -> Page:
    publications = tuple(Publication(f"p{first + n}", first + n, value) for n, value in enumerate(values))
    last = first + len(values) - 1
    return Page(epoch, max(head, last), first - 1 if after is None else after, publications)


def at(offset: int, epoch: str = "e") -> Position:
    return Position(epoch, offset)


class Finished:
    def __init__(self) -> None:
        self.listeners: list[Listener] = []

    def __call__(self, listener: Listener) -> None:
        listener.busy = False
        self.listeners.append(listener)


def take(listener: Listener, one: Page) -> Handover:
    handover = listener.take(one, Finished())
    assert handover is not None
    return handover


def test_data_is_handed_over_in_order_and_the_position_follows_the_calls() -> None:
    positions: list[str] = []
    heard: list[Any] = []
    listener = Listener("accounts/a", lambda data: (heard.append(data), positions.append(listener.position)), at(4))
    done = Finished()
    handover = listener.take(page(5, b"1", b'{"x":2}'), done)
    assert (listener.busy, listener.cursor, listener.position) == (True, at(6), "e-4")
    assert handover is not None
    assert handover.run() is None
    assert heard == [1, {"x": 2}]
    assert positions == ["e-4", "e-5"]
    assert (done.listeners, listener.position) == ([listener], "e-6")


def test_a_position_is_given_to_those_who_ask_for_it() -> None:
    heard: list[Any] = []
    listener = Listener("accounts/a", lambda *given: heard.append(given), START, with_position=True)
    take(listener, page(1, b"1", b"2")).run()
    assert heard == [(1, "e-1"), (2, "e-2")]


def test_each_callback_has_its_own_copy_of_the_data() -> None:
    first: list[Any] = []
    second: list[Any] = []
    one = page(1, b'{"list":[]}')

    def spoil(data: Any) -> None:
        data["list"].append("spoiled")
        first.append(data)

    take(Listener("a", spoil, START), one).run()
    take(Listener("a", second.append, START), one).run()
    assert second == [{"list": []}]


def test_numbers_beyond_a_float_are_heard() -> None:
    heard: list[Any] = []
    take(Listener("a", heard.append, START), page(1, b"1e999", b"123456789012345678901234567890")).run()
    assert heard == [float("inf"), 123456789012345678901234567890]


def test_a_callback_that_raises_is_counted_and_called_for_the_next_one_not_again() -> None:
    heard: list[Any] = []

    def picky(data: int) -> None:
        heard.append(data)
        if data == 2:
            raise ValueError("no twos")

    listener = Listener("a", picky, START)
    take(listener, page(1, b"1", b"2", b"3")).run()
    assert (heard, listener.failures, listener.position) == ([1, 2, 3], 1, "e-3")


def test_what_json_cannot_be_read_from_fails_only_itself() -> None:
    heard: list[Any] = []
    listener = Listener("a", heard.append, START)
    take(listener, page(1, b"9" * 5000, b"2")).run()
    assert (heard, listener.failures) == ([2], 1)


def test_a_control_row_uses_an_offset_and_is_not_heard() -> None:
    heard: list[Any] = []
    listener = Listener("a", heard.append, START)
    take(listener, Page("e", 2, 0, (Publication("c", 1, b"0", True), Publication("p", 2, b"1")))).run()
    assert (heard, listener.position) == ([1], "e-2")


def test_what_retention_took_is_told_in_its_place() -> None:
    heard: list[Any] = []
    listener = Listener("a", heard.append, at(2), on_gap=heard.append)
    take(listener, page(6, b"6")).run()
    assert heard == [Gap("e-2", "e-5"), 6]


def test_a_gap_that_nobody_wants_to_hear_of_only_moves_the_position() -> None:
    heard: list[Any] = []
    listener = Listener("a", heard.append, at(2))
    take(listener, page(6, b"6")).run()
    assert (heard, listener.position) == ([6], "e-6")


def test_a_gap_at_the_end_of_the_log_is_told_too() -> None:
    heard: list[Any] = []
    listener = Listener("a", heard.append, at(2), on_gap=heard.append)
    take(listener, Page("e", 9, 9)).run()
    assert (heard, listener.position) == ([Gap("e-2", "e-9")], "e-9")


def test_another_history_is_a_gap_and_then_begins_at_its_start() -> None:
    heard: list[Any] = []
    listener = Listener("a", heard.append, at(7, "old"), on_gap=heard.append)
    assert listener.behind(at(3, "new"))
    # Read after offset 7, so what it holds of the new history does not follow anything.
    take(listener, page(8, b"8", epoch="new")).run()
    assert (heard, listener.cursor) == ([Gap("old-7", "new-0")], at(0, "new"))
    take(listener, page(1, b"1", epoch="new")).run()
    assert heard[1:] == [1]


@pytest.mark.parametrize("one", [Page("e", 4, 4), Page("", 0, 4), Page("e", 2, 4), page(3, b"3", b"4", after=4)])
def test_a_page_that_holds_nothing_new_is_nothing_yet(one: Page) -> None:
    listener = Listener("a", print, at(4))
    assert listener.take(one, Finished()) is None
    assert (listener.busy, listener.cursor) == (False, at(4))


def test_the_start_stands_before_any_history() -> None:
    listener = Listener("a", print, START)
    assert listener.behind(at(1))
    assert not Listener("a", print, at(4)).behind(at(4))
    assert not Listener("a", print, at(4)).behind(at(3))


def test_nothing_is_heard_after_a_listener_has_gone() -> None:
    heard: list[Any] = []

    def once(data: int) -> None:
        heard.append(data)
        listener.active = False

    listener = Listener("a", once, START)
    take(listener, page(1, b"1", b"2")).run()
    assert heard == [1]


def waiting_callback(heard: list[Any]) -> Callable[[int], Any]:
    async def callback(data: int) -> None:
        await asyncio.sleep(0)
        heard.append(data)
        if data == 2:
            raise ValueError("no twos")

    return callback


async def test_a_coroutine_is_waited_for_before_the_next_call() -> None:
    heard: list[Any] = []
    done = Finished()
    listener = Listener("a", waiting_callback(heard), START)
    handover = listener.take(page(1, b"1", b"2", b"3"), done)
    assert handover is not None
    waiting = handover.run()
    assert waiting is not None
    assert (heard, listener.busy, done.listeners) == ([], True, [])
    await handover.complete(waiting)
    assert (heard, listener.failures, listener.position) == ([1, 2, 3], 1, "e-3")
    assert done.listeners == [listener]


def test_where_nothing_can_be_awaited_a_coroutine_function_is_reported_as_failed() -> None:
    heard: list[Any] = []
    listener = Listener("a", waiting_callback(heard), START)
    take(listener, page(1, b"1", b"2")).run_plainly()
    assert (heard, listener.failures, listener.position, listener.busy) == ([], 2, "e-2", False)
