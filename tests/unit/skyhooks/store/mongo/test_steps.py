"""Steps, and talking to what performs them."""

import pytest

from skyhooks.store.mongo.steps import Found, Pause, Steps, Talk, find_one


def ask_twice() -> Steps[str]:
    first = yield find_one("rows", {"n": 1})
    try:
        second = yield Pause(0.5)
    except OSError as error:
        second = f"failed: {error}"
    return f"{first}, {second}"


def test_answers_go_in_and_the_result_comes_out() -> None:
    talk = Talk(ask_twice())
    assert talk.step == find_one("rows", {"n": 1})
    talk.answered("one")
    assert talk.step == Pause(0.5)
    talk.answered("two")
    assert talk.step is None
    assert talk.result == "one, two"


def test_an_error_comes_out_of_the_step_that_failed() -> None:
    talk = Talk(ask_twice())
    talk.answered("one")
    talk.failed(OSError("broken"))
    assert talk.result == "one, failed: broken"


def test_an_error_that_the_steps_do_not_expect_goes_through_them() -> None:
    talk = Talk(ask_twice())
    with pytest.raises(OSError, match="broken"):
        talk.failed(OSError("broken"))


@pytest.mark.parametrize(("size", "taken"), [(None, 4), (100, 4), (40, 4), (39, 4), (29, 3), (0, 1)])
def test_documents_are_taken_up_to_the_one_that_exceeds_the_size(size: int | None, taken: int) -> None:
    found = Found(size)
    for n in range(4):
        if found.is_enough({"n": n, "data": b"x" * 10}):
            break
    assert [document["n"] for document in found.documents] == list(range(taken))
