"""Lines of several programs in one terminal."""

import os
import subprocess
import sys

import pytest

from skyhooks.cli.console import Console


def test_lines_come_after_their_programs_name(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(["gateway-1", "worker-1"])
    console("gateway-1", "one")
    console("worker-1", "two")
    console.say("three")
    assert capsys.readouterr().out == "gateway-1 | one\nworker-1  | two\nthree\n"


def test_a_reader_that_went_away_does_not_stop_anything() -> None:
    code = "from skyhooks.cli.console import Console; c = Console(['a']); [c('a', 'x') for _ in range(9)]; c.say('end')"
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run([sys.executable, "-c", code], stdout=write_end, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")
