import pytest
from websockets.frames import EXTERNAL_CLOSE_CODES
from websockets.frames import Close as Frame

from gateway.edge.close import CLOSES, GOING_AWAY, POLICY, RESTART, SLOW, Close


@pytest.mark.parametrize("close", CLOSES, ids=lambda close: close.name)
def test_every_code_may_be_sent(close: Close) -> None:
    Frame(close.code, close.meaning).check()
    assert close.code in EXTERNAL_CLOSE_CODES or 4000 <= close.code < 5000


@pytest.mark.parametrize("close", CLOSES, ids=lambda close: close.name)
def test_every_meaning_fits_a_close_frame(close: Close) -> None:
    assert 0 < len(close.meaning.encode()) <= 123


def test_numbers_and_names_are_unique() -> None:
    assert len({close.code for close in CLOSES}) == len({close.name for close in CLOSES}) == len(CLOSES)


def test_what_the_node_does_to_itself_is_temporary() -> None:
    assert GOING_AWAY.temporary
    assert RESTART.temporary
    assert SLOW.temporary
    assert not POLICY.temporary
