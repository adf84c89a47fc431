"""``skyhooks doctor``."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from skyhooks.checkup.finding import Finding
from skyhooks.cli import main
from skyhooks.cli.doctor import report
from skyhooks.signature import make_secret
from tests.processes import free_ports
from tests.unit.skyhooks.checkup.planting import environment, gateway
from tests.unit.skyhooks.cli.conftest import Run

SECRET = make_secret(bytes(32))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A system on this machine, with its own state, that the commands see by their environment."""
    env = environment(tmp_path, SECRET)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return env


def lines(text: str, level: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(level)]


def test_a_machine_with_one_gateway_has_nothing_to_mend_but_the_missing_broker(run: Run, here: dict[str, str]) -> None:
    with gateway(here) as url:
        result = run("doctor", "--url", url)
    assert result.exit_code == 0, result.output
    assert [line.rpartition("[")[2] for line in lines(result.stdout, "warn")] == ["broker_missing]"]
    assert "live nodes take it" in result.stdout


def test_every_warning_and_every_failure_says_what_to_do(run: Run) -> None:
    result = run("doctor", "--url", f"http://127.0.0.1:{free_ports()}", "--secret", "whsec_hidden")
    assert result.exit_code == 1
    shown = result.stdout.splitlines()
    bad = [number for number, line in enumerate(shown) if line.startswith(("warn", "fail"))]
    assert len(bad) >= 3
    assert all(shown[number + 1].startswith("      -> ") for number in bad)
    assert "hidden" not in result.output


def test_a_failed_check_ends_with_exit_code_1(run: Run, tmp_path: Path, here: dict[str, str]) -> None:
    result = run("doctor", "--store", f"sqlite://{tmp_path}")
    assert result.exit_code == 1
    assert lines(result.stdout, "fail  store: ")
    assert "1 failed; each line above says what to change" in result.stderr


def test_it_takes_the_secret_of_up(run: Run, here: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(here["XDG_STATE_HOME"]) / "skyhooks"
    folder.mkdir(parents=True)
    (folder / "secret").write_text(f"{SECRET}\n")
    monkeypatch.delenv("SKYHOOKS_SECRET")
    assert lines(run("doctor").stdout, "ok    secret: valid")
    (folder / "secret").write_text("spoilt")
    assert lines(run("doctor").stdout, "fail  secret: ")


def test_an_app_that_cannot_be_loaded_fails_and_the_rest_is_looked_at(run: Run, here: dict[str, str]) -> None:
    result = run("doctor", "-A", "nowhere.at.all")
    assert result.exit_code == 1
    assert "app: nowhere.at.all cannot be loaded" in result.stdout
    assert lines(result.stdout, "ok    store: ")


def test_an_app_is_loaded_with_the_broker_that_was_named(
    run: Run, here: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "named_broker.py").write_text(
        "import os\nfrom celery import Celery\napp = Celery(broker=os.environ['SKYHOOKS_BROKER'])\n"
    )
    result = run("doctor", "-A", "named_broker", "--broker", "memory://")
    assert lines(result.stdout, "ok    broker: memory:")
    assert "SKYHOOKS_BROKER" not in os.environ


def test_a_report_of_warnings_only_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    report([Finding("warn", "it rattles", "tighten it", "loose"), Finding("ok", "it runs")], color=False)
    shown = capsys.readouterr()
    assert shown.out == "warn  it rattles  [loose]\n      -> tighten it\nok    it runs\n"
    assert shown.err.startswith("Nothing is broken.")


def test_the_help_says_where_the_mistakes_are_listed() -> None:
    assert "docs/doctor.md" in CliRunner().invoke(main, ["doctor", "--help"]).output
