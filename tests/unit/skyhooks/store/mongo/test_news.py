"""Which rows are news, when they become visible late."""

from typing import Any

from bson import Timestamp

from skyhooks.publication import Position
from skyhooks.store.base import News
from skyhooks.store.mongo.clock import ServerClock
from skyhooks.store.mongo.core import Core
from skyhooks.store.mongo.news import MARKS, OVERLAP
from skyhooks.store.mongo.steps import Ask, Talk


class Rows:
    """The newest row of each channel, by the time of that row; `looked` is where the last look began."""

    def __init__(self) -> None:
        self.core = Core(ServerClock())
        self.rows: dict[str, tuple[int, Timestamp]] = {}
        self.looked = Timestamp(0, 0)
        self.epoch = "e"

    def append(self, channel: str, offset: int, at: int) -> None:
        self.rows[channel] = (offset, Timestamp(at, 1))

    def news(self, mark: int | None) -> News:
        talk = Talk(self.core.news(mark))
        while isinstance(talk.step, Ask):
            talk.answered(self.newest() if talk.step.method == "find_one" else self.grown(talk.step.arguments[0]))
        return talk.result

    def newest(self) -> dict[str, Any] | None:
        return {"at": max(at for _, at in self.rows.values())} if self.rows else None

    def grown(self, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.looked = pipeline[0]["$match"]["at"]["$gt"]
        return [
            {"_id": channel, "epoch": self.epoch, "offset": offset, "at": at}
            for channel, (offset, at) in self.rows.items()
            if at > self.looked
        ]


def test_a_row_that_becomes_visible_after_a_later_one_is_told() -> None:
    rows = Rows()
    rows.append("accounts/a", 1, at=100)
    mark = rows.news(None).mark
    rows.append("accounts/late", 1, at=100 - OVERLAP + 1)
    news = rows.news(mark)
    assert news.heads == {"accounts/late": Position("e", 1)}
    assert rows.news(news.mark).heads == {}


def test_a_look_begins_a_little_before_the_newest_row_however_old_the_log_is() -> None:
    rows = Rows()
    for at in range(100, 200):
        rows.append("accounts/a", at, at)
        mark = rows.news(rows.news(None).mark).mark
    rows.news(mark)
    assert rows.looked == Timestamp(199 - OVERLAP, 1)


def test_marks_are_forgotten_but_go_on_working() -> None:
    rows = Rows()
    rows.append("accounts/a", 1, at=100)
    first = rows.news(None).mark
    others = [rows.news(None).mark for _ in range(MARKS)]
    assert rows.news(others[-1]).heads == {}
    assert rows.news(first).heads == {"accounts/a": Position("e", 1)}


def test_a_mark_that_is_used_is_not_forgotten() -> None:
    rows = Rows()
    rows.append("accounts/a", 1, at=100)
    used = rows.news(None).mark
    for _ in range(3 * MARKS):
        rows.news(None)
        assert rows.news(used) == News(used)


def test_no_more_is_remembered_than_what_may_be_seen_again() -> None:
    rows = Rows()
    for n in range(50):
        rows.append(f"accounts/{n}", 1, at=100 + n)
    rows.news(None)
    told = [heard.told for heard in rows.core._heard.values()]
    assert [len(channels) for channels in told] == [OVERLAP]


def test_another_history_is_news_even_with_lower_offsets() -> None:
    rows = Rows()
    rows.append("tasks/1", 5, at=100)
    mark = rows.news(None).mark
    rows.epoch = "f"
    rows.append("tasks/1", 1, at=101)
    assert rows.news(mark).heads == {"tasks/1": Position("f", 1)}
