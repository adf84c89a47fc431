"""A parcel knows for whom it is and when nothing is left to do."""

from skyhooks.parcel import Contents, Parcel, StoredResult
from skyhooks.publication import TaskMark
from skyhooks.webhook import encode_webhook

RESULT = StoredResult("task:t", b"{}", None)


def test_a_parcel_is_settled_when_it_is_published_and_stored() -> None:
    parcel = Parcel(Contents(encode_webhook({"task_id": "t"}, 1, "t:end"), RESULT))

    assert not parcel.settled
    parcel.published = True
    assert not parcel.settled
    parcel.stored = True
    assert parcel.settled


def test_what_a_parcel_does_not_carry_is_done() -> None:
    assert Parcel(Contents(b"")).settled
    assert Parcel(Contents(b"", RESULT)).published


def test_a_gateway_is_chosen_by_the_account_else_by_the_task() -> None:
    with_account = Parcel(Contents(encode_webhook({"task_id": "t", "account_id": 7}, 1)))
    without = Parcel(Contents(encode_webhook({"task_id": "t"}, 1)))

    assert (with_account.account, with_account.task_id) == ("7", "t")
    assert (without.account, without.task_id) == ("", "t")


def test_who_waits_learns_that_it_is_finished() -> None:
    parcel = Parcel(Contents(b""))

    assert not parcel.wait(0.0)
    parcel.finish()
    assert parcel.wait(0.0)
    assert parcel.finished


def test_a_parcel_knows_whether_its_task_has_ended_and_how_long_it_ran() -> None:
    def of(state: str) -> Parcel:
        return Parcel(Contents(encode_webhook({"task_id": "t"}, 1, "t:1", TaskMark("run", 0, state))), runtime=1.5)

    assert [of(state).ended for state in ("SUCCESS", "FAILURE", "REVOKED", "RETRY", "STARTED", "PROGRESS")] == [
        "SUCCESS",
        "FAILURE",
        "REVOKED",
        "",
        "",
        "",
    ]
    assert of("SUCCESS").runtime == 1.5
    without = Parcel(Contents(b""))
    assert (without.ended, without.runtime) == ("", None)
