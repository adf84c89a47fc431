"""Documents of publications."""

import pytest
from bson import ObjectId, Timestamp

from skyhooks.publication import Draft, TaskMark
from skyhooks.store.mongo.row import Slot, row_document, slot_behind, slot_from, slot_of

AT = Timestamp(0, 0)


def draft(*channels: str, **more: object) -> Draft:
    return Draft(id="p1", channels=channels, data=b"123", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channel", "slot"), [("tasks/1", "t"), ("tasks", "t"), ("accounts/a", "a"), ("tasksx/1", "a"), ("numbers", "a")]
)
def test_tasks_have_a_slot_of_their_own(channel: str, slot: str) -> None:
    assert slot_of(channel) == slot


def test_a_slot_is_stored_without_what_has_its_default_and_comes_back() -> None:
    slot = Slot("accounts/a", "e", 3, cursor="c")
    assert slot.document() == {"channel": "accounts/a", "epoch": "e", "offset": 3, "cursor": "c"}
    assert slot_from(slot.document()) == slot


def test_the_first_row_draws_an_epoch_that_sorts_by_its_making() -> None:
    first, second = (slot_behind(None, "accounts/a", draft("accounts/a")) for _ in range(2))
    assert (first.offset, second.offset) == (1, 1)
    assert first.epoch < second.epoch


def test_a_later_row_carries_on_what_came_before() -> None:
    tip = Slot("accounts/a", "e", 3, fence=2, cursor="c", total=10)
    slot = slot_behind(tip, "accounts/a", draft("accounts/a", fence=5))
    assert slot == Slot("accounts/a", "e", 4, fence=5, cursor="c", total=13)
    assert slot_behind(tip, "accounts/a", draft("accounts/a", cursor="d")).cursor == "d"


def test_a_mark_counts_in_the_tasks_channel_only() -> None:
    marked = draft("tasks/1", "accounts/a", task=TaskMark("r", 2, "SUCCESS"))
    slots = {channel: slot_behind(None, channel, marked) for channel in marked.channels}
    assert (slots["tasks/1"].ended, slots["tasks/1"].run, slots["tasks/1"].retries) == (True, "r", 2)
    assert not slots["accounts/a"].ended


def test_a_publication_is_one_document_with_a_slot_for_each_channel() -> None:
    one = draft("tasks/1", "accounts/a", control=True)
    slots = {channel: slot_behind(None, channel, one) for channel in one.channels}
    document = row_document(ObjectId("0" * 24), one, slots, AT)
    assert document == {
        "_id": ObjectId("0" * 24),
        "id": "p1",
        "at": AT,
        "data": b"123",
        "control": True,
        "t": slots["tasks/1"].document(),
        "a": slots["accounts/a"].document(),
    }


@pytest.mark.parametrize("channels", [("tasks/1", "tasks/2"), ("accounts/a", "accounts/b")])
def test_two_channels_cannot_share_a_slot(channels: tuple[str, ...]) -> None:
    one = draft(*channels)
    with pytest.raises(ValueError, match="at most one tasks/"):
        row_document(ObjectId(), one, {channel: slot_behind(None, channel, one) for channel in channels}, AT)
