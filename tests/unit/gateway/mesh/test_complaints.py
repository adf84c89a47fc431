"""The log hears of an offender once a minute."""

from gateway.mesh.complaints import MOST_OFFENDERS, QUIET_SECONDS, Complaints


def test_an_offender_is_named_once_and_again_when_the_quiet_time_is_over() -> None:
    complaints = Complaints()
    assert complaints.due("a", 100.0)
    assert not complaints.due("a", 100.0 + QUIET_SECONDS - 1)
    assert complaints.due("a", 100.0 + QUIET_SECONDS)


def test_each_offender_is_named() -> None:
    complaints = Complaints()
    assert complaints.due("a", 0.0)
    assert complaints.due("b", 0.0)


def test_offenders_beyond_the_limit_are_not_named_until_others_are_forgotten() -> None:
    complaints = Complaints()
    assert all(complaints.due(f"{number}", 0.0) for number in range(MOST_OFFENDERS))
    assert not complaints.due("one more", 1.0)
    assert complaints.due("one more", QUIET_SECONDS)
