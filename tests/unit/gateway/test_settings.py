import pytest

from gateway.settings import NodeSettings
from skyhooks.errors import SettingsError


def test_later_sources_win() -> None:
    settings = NodeSettings.load(
        {"SKYHOOKS_RING_COUNT": "5", "SKYHOOKS_OPEN": "yes"}, {"ring_count": "7"}, {"listen": "x"}
    )
    assert (settings.ring_count, settings.open, settings.listen) == (7, True, "x")


@pytest.mark.parametrize(("name", "text"), [("ring_count", "0"), ("lease_seconds", "nan"), ("open", "maybe")])
def test_a_value_that_cannot_be_used_names_its_setting(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        NodeSettings.load({}, {name: text})


@pytest.mark.parametrize(
    ("text", "url"),
    [("", ""), ("https://hooks.example/", "https://hooks.example"), ("http://[::1]:80/base/", "http://[::1]:80/base")],
)
def test_a_nodes_url_is_a_base_url(text: str, url: str) -> None:
    assert NodeSettings.load({}, {"public_url": text}).public_url == url


@pytest.mark.parametrize("text", ["hooks.example", "ftp://hooks.example", "https://hooks.example/?x", "https://u:p@h"])
def test_what_is_no_base_url_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="public_url"):
        NodeSettings.load({}, {"public_url": text})


def test_a_deadline_ends_before_an_end_could_be_forgotten() -> None:
    assert NodeSettings.load({}, {"task_deadline_seconds": "0"}).task_deadline_seconds == 0
    for text in ("-1", "86400", "nan", "inf"):
        with pytest.raises(SettingsError, match="task_deadline_seconds"):
            NodeSettings.load({}, {"task_deadline_seconds": text})


def test_every_setting_has_a_sentence() -> None:
    assert all(len(setting.doc) > 20 for setting in NodeSettings.all())
