"""Skyhooks gets the results of background tasks back to the people who wait for them.

Importing this package loads nothing: each name is fetched from its module when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from skyhooks.accounts import account as account
    from skyhooks.errors import Refused as Refused
    from skyhooks.errors import SkyhooksError as SkyhooksError
    from skyhooks.registry import Registry as Registry
    from skyhooks.store import open_store as open_store

_HOMES = {
    "Refused": "skyhooks.errors",
    "Registry": "skyhooks.registry",
    "SkyhooksError": "skyhooks.errors",
    "account": "skyhooks.accounts",
    "open_store": "skyhooks.store",
}

__all__ = ["Refused", "Registry", "SkyhooksError", "account", "open_store"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
