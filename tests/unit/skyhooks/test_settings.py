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
