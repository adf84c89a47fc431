from pathlib import Path

import pytest

from skyhooks.configfile import engine_of, read_configuration
from skyhooks.errors import SettingsError
from skyhooks.settings import Settings

HEAD = """
from skyhooks.settings import Setting, Settings

class settings(Settings):
    listen = Setting("here", str, "where")
    rate = Setting(1.0, float, "how often", live=True)
"""
SERVICE = """
def service(settings):
    return settings.listen
"""


def conf(folder: Path, text: str) -> Path:
    path = folder / "it.conf.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["rate", "RATE"])
def test_plain_variables_are_settings(tmp_path: Path, name: str) -> None:
    read = read_configuration(conf(tmp_path, f"{HEAD}{name} = 7\n_base = 3\n{SERVICE}"))
    assert read.values == {"rate": 7}
    assert read.make(read.group.load({}, {"listen": "there"}, read.values)) == "there"


def test_a_file_may_have_no_settings_and_its_function_no_argument(tmp_path: Path) -> None:
    read = read_configuration(conf(tmp_path, "def service(): return 'made'"))
    assert read.make(Settings()) == "made"


def test_what_is_imported_is_no_setting(tmp_path: Path) -> None:
    text = f"from string import digits\nfrom pathlib import Path\n{HEAD}{SERVICE}"
    assert read_configuration(conf(tmp_path, text)).values == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}rat = 7\n{SERVICE}", "sets rat, which is no setting; known: listen, rate.*spelled _rat"),
        (f"{HEAD}rate = 1\nRATE = 2\n{SERVICE}", "sets rate twice"),
        (HEAD, "must have a function `service`"),
        (f"settings = 3\n{SERVICE}", "`settings` .* must be a group of settings.*got 3"),
        ("def (", r"it\.conf\.py line 1: invalid syntax"),
        ("x = 1\n\nx = 1 / 0", r"it\.conf\.py line 3: ZeroDivisionError"),
        ("import nowhere_at_all", r"line 1: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise SystemExit(4)", r"line 1: SystemExit: 4"),
        ("\0", "null bytes"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_configuration(conf(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.py cannot be read: No such file"):
        read_configuration(tmp_path / "nowhere.py")


@pytest.mark.parametrize(
    ("text", "engine"),
    [("", "asyncio"), ("engine = 'gevent'", "gevent"), ("raise OSError\nengine = 'threads'", "threads")],
)
def test_the_engine_is_found_without_running_the_file(tmp_path: Path, text: str, engine: str) -> None:
    assert engine_of(conf(tmp_path, text)) == engine


@pytest.mark.parametrize("value", ["'twisted'", "3", "'gev' + 'ent'"])
def test_an_engine_is_one_of_three_words(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match="line 1: engine is one of asyncio, gevent, threads"):
        engine_of(conf(tmp_path, f"engine = {value}"))
