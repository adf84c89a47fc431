"""What the number server can be told."""

import pytest

from skyhooks.errors import SettingsError
from workers.numbers.settings import NumberSettings


def test_without_sources_it_counts_once_a_second_on_loopback() -> None:
    settings = NumberSettings.load({})
    assert (settings.numbers_listen, settings.rate_per_minute) == ("127.0.0.1:7000", 60.0)
    assert (settings.numbers_history, settings.numbers_clients, settings.numbers_seconds) == (10_000, 100, 5.0)


def test_the_environment_and_options_are_read() -> None:
    settings = NumberSettings.load({"SKYHOOKS_RATE_PER_MINUTE": "30", "SKYHOOKS_NUMBERS_CLIENTS": "2"})
    assert (settings.rate_per_minute, settings.numbers_clients) == (30.0, 2)
    assert NumberSettings.load({"SKYHOOKS_RATE_PER_MINUTE": "30"}, {"rate_per_minute": "600"}).rate_per_minute == 600.0


@pytest.mark.parametrize("rate", ["0.01", "60", "1.5", "6e5"])
def test_a_rate_is_of_numbers_in_a_minute(rate: str) -> None:
    assert NumberSettings.load({}, {"rate_per_minute": rate}).rate_per_minute == float(rate)


@pytest.mark.parametrize("rate", ["0", "-1", "0.009", "600001", "inf", "nan", "many", ""])
def test_a_rate_that_nobody_can_count_at_is_refused(rate: str) -> None:
    with pytest.raises(SettingsError, match="rate_per_minute"):
        NumberSettings.load({}, {"rate_per_minute": rate})


@pytest.mark.parametrize("name", ["numbers_history", "numbers_clients", "numbers_seconds"])
@pytest.mark.parametrize("value", ["0", "-1", "x"])
def test_limits_are_above_zero(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        NumberSettings.load({}, {name: value})


def test_only_the_rate_changes_while_it_runs() -> None:
    assert [setting.name for setting in NumberSettings.all() if setting.live] == ["rate_per_minute"]
