import pytest

from gateway.edge.settings import EdgeSettings
from skyhooks.errors import SettingsError


def test_every_setting_says_what_it_is_for() -> None:
    assert [setting.name for setting in EdgeSettings.all() if not setting.doc.endswith(".")] == []


def test_every_default_is_what_its_own_text_reads_as() -> None:
    for setting in EdgeSettings.all():
        assert setting.parse(setting.default, "the default") == setting.default


@pytest.mark.parametrize("value", ["30", "31", "0", "-1", "nan", "soon"])
def test_a_keepalive_stays_below_what_proxies_wait(value: str) -> None:
    with pytest.raises(SettingsError, match="keepalive_seconds"):
        EdgeSettings.load({"SKYHOOKS_KEEPALIVE_SECONDS": value})


@pytest.mark.parametrize(("value", "rate"), [("0", 0.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_a_rate_may_be_turned_off(value: str, rate: float) -> None:
    assert EdgeSettings.load({"SKYHOOKS_REQUESTS_PER_SECOND": value}).requests_per_second == rate


@pytest.mark.parametrize("value", ["-1", "inf", "nan", "many"])
def test_a_rate_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="requests_per_second"):
        EdgeSettings.load({"SKYHOOKS_REQUESTS_PER_SECOND": value})


def test_trusted_proxies_are_networks() -> None:
    settings = EdgeSettings.load({"SKYHOOKS_TRUSTED_PROXIES": "10.0.0.0/8, ::1"})
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize("value", ["10.0.0.1/8", "proxy.example", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="trusted_proxies"):
        EdgeSettings.load({"SKYHOOKS_TRUSTED_PROXIES": value})
