"""One child process: its lines, its signals, its end."""

import os
import selectors
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skyhooks.child import MOST_LINE, Child, Program, manner
from tests.processes import alive, eventually


class Starter:
    """Starts children and buries what is left of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Child] = []

    def __call__(self, code: str, env: dict[str, str] | None = None) -> Child:
        argv = (sys.executable, "-u", "-c", code)
        child = Child(Program(name="a", argv=argv, env=os.environ if env is None else env, folder=self._folder))
        self._started.append(child)
        return child

    def close(self) -> None:
        for child in self._started:
            if not child.output.closed:
                child.kill()
                child.bury()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    starter.close()


def read_until(child: Child, count: int) -> list[str]:
    found: list[str] = []
    eventually(lambda: found.extend(child.lines()) or len(found) >= count, what=f"{count} lines")
    return found


def ended(child: Child) -> None:
    """Wait for the end by the descriptor that says so."""
    with selectors.DefaultSelector() as selector:
        selector.register(child.pidfd, selectors.EVENT_READ)
        assert selector.select(30)
    assert child.ended()


def test_it_runs_in_its_folder_with_its_environment_and_without_input(start: Starter, tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd()); print(sorted(os.environ)); print(repr(sys.stdin.read()))"
    child = start(code, {"ONLY": "this", "LC_CTYPE": "C.UTF-8"})
    assert read_until(child, 3) == [str(tmp_path), "['LC_CTYPE', 'ONLY']", "''"]


def test_lines_are_whole_and_do_not_wait(start: Starter) -> None:
    child = start(
        "import sys; print('one\\r'); sys.stdout.write('half'); sys.stdin.read(); import time; time.sleep(60)"
    )
    assert read_until(child, 1) == ["one"]
    assert child.lines() == []
    assert child.lines(last=True) == ["half"]


def test_what_is_not_utf8_is_shown_all_the_same(start: Starter) -> None:
    child = start("import sys; sys.stdout.buffer.write(b'a\\xff\\n'); sys.stdout.flush()")
    assert read_until(child, 1) == ["a\N{REPLACEMENT CHARACTER}"]


def test_a_closed_output_is_noticed(start: Starter) -> None:
    child = start("import os, time; os.close(1); os.close(2); time.sleep(60)")
    eventually(lambda: child.lines() or child.silent)
    assert not child.ended()
    assert child.lines() == []


def test_a_very_long_line_comes_in_pieces(start: Starter) -> None:
    child = start(f"print('x' * {MOST_LINE * 3})")
    pieces = read_until(child, 3)
    assert "".join(pieces) == "x" * MOST_LINE * 3


@pytest.mark.parametrize(
    ("code", "how"),
    [("pass", 0), ("raise SystemExit(3)", 3), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9)],
)
def test_how_it_ended(start: Starter, code: str, how: int) -> None:
    child = start(code)
    ended(child)
    assert child.bury() == how
    assert not alive(child.pid)


def test_its_process_id_is_its_own_until_it_is_buried(start: Starter) -> None:
    child = start("pass")
    ended(child)
    os.kill(child.pid, 0)  # a zombie: nobody else can get this id
    child.bury()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_terminate_asks_and_kill_does_not(start: Starter) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('asked')); print('up'); time.sleep(60)"
    code += "\nwhile True: time.sleep(60)"
    child = start(code)
    read_until(child, 1)
    child.terminate()
    assert read_until(child, 1) == ["asked"]
    child.kill()
    ended(child)
    assert child.bury() == -signal.SIGKILL


def test_a_command_that_cannot_be_run_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Child(Program(name="a", argv=(str(tmp_path / "none"),), env={}, folder=tmp_path))


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (2, "exit code 2"), (-9, "SIGKILL"), (-99, "signal 99")]
)
def test_the_end_in_words(code: int, words: str) -> None:
    assert manner(code) == words
