"""``skyhooks secret``."""

from skyhooks.signature import Secret
from tests.unit.skyhooks.cli.conftest import Run


def test_it_prints_a_new_secret_each_time_and_only_that_to_standard_output(run: Run) -> None:
    first, second = run("secret"), run("secret")
    assert first.stdout != second.stdout
    Secret(first.stdout.strip())
    assert "SKYHOOKS_SECRET" in first.stderr
