from collections.abc import Callable
from typing import Any

import pytest

from skyhooks.errors import SettingsError
from skyhooks.settings import Setting, Settings, boolean, positive, words


class Base(Settings):
    name = Setting("x", str, "a name")
    count = Setting(3, int, "a count")


class Derived(Base):
    seconds = Setting(1.5, positive(float), "how long")
    loud = Setting(False, boolean, "whether")
    hosts: Setting[tuple[str, ...]] = Setting((), words, "which")


def test_without_sources_every_setting_has_its_default() -> None:
    settings = Derived.load({})
    assert (settings.name, settings.count, settings.seconds, settings.loud, settings.hosts) == ("x", 3, 1.5, False, ())


def test_the_class_gives_the_setting_itself() -> None:
    assert (Derived.seconds.name, Derived.seconds.default, Derived.seconds.doc) == ("seconds", 1.5, "how long")


def test_settings_are_listed_in_the_order_in_which_they_were_written() -> None:
    assert [setting.name for setting in Derived.all()] == ["name", "count", "seconds", "loud", "hosts"]


def test_later_sources_win() -> None:
    file: dict[str, object] = {"name": "file", "count": 1, "seconds": 7}
    environ = {"SKYHOOKS_NAME": "environment", "SKYHOOKS_COUNT": "2"}
    settings = Derived.load(environ, {"name": "override"}, file)
    assert (settings.name, settings.count, settings.seconds) == ("override", 2, 7.0)


def test_what_is_not_ours_in_the_file_and_the_environment_is_left_alone() -> None:
    settings = Derived.load({"SKYHOOKS_OTHER": "x", "COUNT": "9", "count": "9"}, None, {"service": object()})
    assert settings.count == 3


def test_an_unknown_override_is_an_error_that_names_it() -> None:
    with pytest.raises(SettingsError, match="cuont"):
        Derived.load({}, {"cuont": "1"})


def test_an_unknown_argument_is_an_error_that_names_it_and_what_is_known() -> None:
    with pytest.raises(SettingsError, match=r"cuont.*count"):
        Derived(cuont=1)


@pytest.mark.parametrize(
    ("source", "load"),
    [
        ("the config file", lambda: Derived.load({}, None, {"count": "many"})),
        (r"\$SKYHOOKS_COUNT", lambda: Derived.load({"SKYHOOKS_COUNT": "many"})),
        ("-X count", lambda: Derived.load({}, {"count": "many"})),
    ],
)
def test_a_value_that_cannot_be_used_names_setting_source_and_value(source: str, load: Callable[[], Any]) -> None:
    with pytest.raises(SettingsError, match=f"count from {source} is 'many'"):
        load()


def test_a_file_may_hold_values_of_python() -> None:
    settings = Derived.load({}, None, {"loud": True, "hosts": ["a", "b"], "seconds": 2, "count": 4})
    assert (settings.loud, settings.hosts, settings.seconds, settings.count) == (True, ("a", "b"), 2.0, 4)


@pytest.mark.parametrize("text", ["1", "true", "TRUE", "yes", "On"])
def test_yes_is_written_in_these_ways(text: str) -> None:
    assert boolean(text) is True


@pytest.mark.parametrize("text", ["0", "false", "No", "OFF", ""])
def test_no_is_written_in_these_ways(text: str) -> None:
    assert boolean(text) is False


@pytest.mark.parametrize("text", ["2", "y", "wahr", " true"])
def test_anything_else_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        boolean(text)


@pytest.mark.parametrize("text", ["a,b", "a b", " a ,, b "])
def test_words_are_separated_by_commas_or_spaces(text: str) -> None:
    assert words(text) == ("a", "b")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "1e999", "", "x"])
def test_a_positive_number_is_finite_and_above_zero(text: str) -> None:
    with pytest.raises(ValueError, match=r"above zero|could not convert"):
        positive(float)(text)


def test_an_integer_too_large_for_a_float_is_an_integer_all_the_same() -> None:
    assert positive(int)("9" * 400) == int("9" * 400)


def test_a_setting_never_takes_the_name_of_another_one() -> None:
    class First(Settings):
        size = Setting(1, int, "the size of something")

    with pytest.raises(TypeError, match="size"):

        class Second(First):
            size = Setting(2, int, "the size of something else")


class Live(Settings):
    rate = Setting(1.0, positive(float), "how often", live=True)
    burst = Setting(5, positive(int), "how many", live=True)
    listen = Setting("here", str, "where")


def test_a_reload_replaces_what_is_live_and_names_what_needs_a_restart() -> None:
    settings = Live.load({}, None, {"rate": 1, "listen": "here"})
    changes = settings.reload({}, None, {"rate": 2, "listen": "there"})
    assert (changes.applied, changes.kept) == (("rate",), ("listen",))
    assert (settings.rate, settings.listen) == (2.0, "here")
    assert settings.reload({}, None, {"rate": 2, "listen": "there"})[:2] == ((), ("listen",))


def test_a_value_that_is_gone_from_its_source_is_the_default_again() -> None:
    settings = Live.load({}, None, {"rate": 7})
    assert settings.reload({}).applied == ("rate",)
    assert settings.rate == 1.0


def test_a_reload_with_one_wrong_value_changes_none() -> None:
    settings = Live.load({})
    with pytest.raises(SettingsError, match=r"burst from the config file is 0"):
        settings.reload({}, None, {"rate": 2, "burst": 0})
    assert (settings.rate, settings.burst) == (1.0, 5)


def test_a_reload_has_the_same_order_of_sources() -> None:
    settings = Live.load({}, {"rate": "3"}, {"rate": 2})
    assert settings.reload({"SKYHOOKS_RATE": "4"}, {"rate": "3"}, {"rate": 9}).applied == ()
    assert settings.rate == 3.0


def test_a_reload_can_be_taken_back() -> None:
    settings = Live.load({})
    settings.take_back(settings.reload({}, None, {"rate": 2}))
    assert settings.rate == 1.0
    assert settings.reload({}, None, {"rate": 2}).applied == ("rate",)


def test_what_an_application_has_filled_in_is_no_change() -> None:
    settings = Live.load({}, None, {"rate": 2})
    settings.fill(rate=9.0, listen="found")
    assert (settings.rate, settings.listen) == (2.0, "found")
    assert settings.reload({}, None, {"rate": 3}).kept == ()
    assert settings.listen == "found"
    with pytest.raises(SettingsError, match="unknown setting reload"):
        settings.fill(reload=1)
