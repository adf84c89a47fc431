"""``skyhooks forwarder`` becomes the forwarder, with every option."""

import signal
import sys
from pathlib import Path

import pytest

from skyhooks.keys import make_keys, write_keys
from tests.conftest import Spawn

FORWARDER = [sys.executable, "-P", "-m", "skyhooks.cli", "forwarder"]


def test_it_forwards_until_it_is_told_to_stop(spawn: Spawn, tmp_path: Path) -> None:
    process = spawn([*FORWARDER, "--listen", f"ipc://{tmp_path}/f"])
    process.wait_for(rf"nodes publish to ipc://{tmp_path}/f\.in, hear ipc://{tmp_path}/f\.out")
    process.wait_for(rf"Next: .*{tmp_path}/f")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_a_list_of_keys_that_is_broken_on_reload_is_named_and_the_old_one_stays(spawn: Spawn, tmp_path: Path) -> None:
    _, secret = write_keys(tmp_path, "middle", make_keys())
    options = ["--listen", f"ipc://{tmp_path}/f", "--key", str(secret), "--allow", str(tmp_path)]
    process = spawn([*FORWARDER, *options])
    process.wait_for("forwarding")
    (tmp_path / "broken.pub").write_text("nonsense")
    process.signal(signal.SIGHUP)
    process.wait_for(r"not reloaded.*broken\.pub, line 1")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    assert "Traceback" not in process.output


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--listen"),
        (["--listen", "nonsense"], "expected ipc:///folder/name or tcp://HOST:PORT"),
        (["--listen", "tcp://127.0.0.1:0"], "name one"),
        (["--listen", "tcp://0.0.0.0:7100"], "skyhooks keys"),
        (["--listen", "tcp://127.0.0.1:7100", "--key", "/nowhere"], "cannot read the key file"),
        (["--listen", "tcp://127.0.0.1:7100", "--allow", "/nowhere"], "no meaning without --key"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(spawn: Spawn, options: list[str], expected: str) -> None:
    process = spawn([*FORWARDER, *options])
    assert process.wait() == 2
    assert expected in " ".join(process.output.split())
    assert "Traceback" not in process.output


def test_help_says_how_to_call_it(spawn: Spawn) -> None:
    process = spawn([*FORWARDER, "--help"])
    assert process.wait() == 0
    assert "Example: skyhooks forwarder" in process.output
