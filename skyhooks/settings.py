"""Settings: a class attribute with a default, a type and a sentence, read from a file, the environment and overrides.

Later sources win: the default, the variables of a Python config file, ``SKYHOOKS_<NAME>`` in the environment, ``-X
name=value``. Only applications call `Settings.load`; nothing is read at import.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, Self, TypeVar, overload

from skyhooks.errors import SettingsError

T = TypeVar("T")

ENV_PREFIX = "SKYHOOKS_"

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


def boolean(text: str) -> bool:
    """Read yes or no. Raises `ValueError`."""
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("expected one of true, yes, on, 1, false, no, off, 0")
    return text.lower() in _TRUE


def words(text: str) -> tuple[str, ...]:
    """Read words separated by commas or spaces."""
    return tuple(text.replace(",", " ").split())


def positive(kind: Callable[[str], T]) -> Callable[[str], T]:
    """A reader for `kind` (int or float) that accepts only finite numbers above zero."""

    def read(text: str) -> T:
        value = kind(text)
        if not 0 < value < math.inf:  # type: ignore[operator]
            raise ValueError("expected a number above zero")
        return value

    return read


def one_of(*names: str) -> Callable[[str], str]:
    """A reader that accepts exactly these words."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"expected one of {', '.join(names)}")
        return text

    return read


class Setting(Generic[T]):
    """One setting. `read` turns text into the value and raises `ValueError` for text that it cannot use.

    With `live`, whoever reads it sees a change at once; else the change waits for a restart.
    """

    def __init__(self, default: T, read: Callable[[str], T], doc: str, *, live: bool = False) -> None:
        self.default = default
        self.read = read
        self.doc = doc
        self.live = live
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: "Settings", owner: type) -> T: ...
    def __get__(self, instance: "Settings | None", owner: type) -> Self | T:
        if instance is None:
            return self
        value: T = instance.values.get(self.name, self.default)
        return value

    def parse(self, value: object, source: str) -> T:
        """The value that `value` from `source` stands for. Raises `SettingsError`."""
        try:
            if isinstance(value, str):
                return self.read(value)
            return self.read(" ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
        except ValueError as error:
            raise SettingsError(f"{self.name} from {source} is {value!r}, which cannot be used: {error}") from error


class Changes(NamedTuple):
    """What a reload has changed, and what it would have changed if that could be done while running.

    `before` is what there was, for `Settings.take_back`.
    """

    applied: tuple[str, ...]
    kept: tuple[str, ...]
    before: tuple[dict[str, Any], dict[str, Any]]


class Settings:
    """Base of a group of settings."""

    def __init_subclass__(cls) -> None:
        """Raises `TypeError` for a setting that takes the name of another one: one value would serve both."""
        inherited = {
            name for base in cls.__mro__[1:] for name, value in vars(base).items() if isinstance(value, Setting)
        }
        if taken := sorted(inherited & set(vars(cls))):
            raise TypeError(f"{cls.__name__} defines {', '.join(taken)} again")

    def __init__(self, **values: Any) -> None:
        known = {setting.name for setting in self.all()}
        if unknown := sorted(set(values) - known):
            raise SettingsError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        self.values = values
        self._loaded = dict(values)
        """What the sources said; `fill` and applications add to `values` only."""

    @classmethod
    def all(cls) -> "Iterator[Setting[Any]]":
        """Every setting of the group, in the order in which they were written."""
        for owner in reversed(cls.__mro__):
            for value in vars(owner).values():
                if isinstance(value, Setting):
                    yield value

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str],
        overrides: Mapping[str, str] | None = None,
        file: Mapping[str, object] | None = None,
    ) -> Self:
        """Settle every setting from its sources. Raises `SettingsError` naming the setting and the source."""
        given: dict[str, Any] = {}
        for setting in cls.all():
            if file and setting.name in file:
                given[setting.name] = setting.parse(file[setting.name], "the config file")
            variable = ENV_PREFIX + setting.name.upper()
            if variable in environ:
                given[setting.name] = setting.parse(environ[variable], f"${variable}")
            if overrides and setting.name in overrides:
                given[setting.name] = setting.parse(overrides[setting.name], f"-X {setting.name}")
        unknown = sorted(set(overrides or {}) - {setting.name for setting in cls.all()})
        if unknown:
            raise SettingsError(f"unknown setting {', '.join(unknown)}; `skyhooks gateway --help` lists them")
        return cls(**given)

    def fill(self, **values: Any) -> None:
        """Give values to settings that still have their default: what the application works out by itself."""
        self.values = {**self.values, **{name: value for name, value in values.items() if self._is_default(name)}}

    def reload(
        self,
        environ: Mapping[str, str],
        overrides: Mapping[str, str] | None = None,
        file: Mapping[str, object] | None = None,
    ) -> Changes:
        """Settle the settings anew: all that are live are replaced at once, the others keep their values.

        Raises `SettingsError`, and has then changed nothing.
        """
        fresh = self.load(environ, overrides, file)
        before = (self.values, self._loaded)
        changed = [one for one in self.all() if self._loaded.get(one.name, one.default) != getattr(fresh, one.name)]
        live = {one.name: getattr(fresh, one.name) for one in changed if one.live}
        self.values, self._loaded = {**self.values, **live}, {**self._loaded, **live}
        return Changes(tuple(live), tuple(one.name for one in changed if not one.live), before)

    def take_back(self, changes: Changes) -> None:
        """Have the values again that there were before a reload."""
        self.values, self._loaded = changes.before

    def _is_default(self, name: str) -> bool:
        setting = getattr(type(self), name, None)
        if not isinstance(setting, Setting):
            raise SettingsError(
                f"unknown setting {name}; known are {', '.join(sorted(one.name for one in self.all()))}"
            )
        return bool(getattr(self, name) == setting.default)
