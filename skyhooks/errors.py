"""The exceptions of skyhooks, in one tree.

::

    SkyhooksError
    ├── Refused            what a client sent cannot be accepted; carries the answer (RFC 9457)
    ├── StoreError
    │   ├── StoreUnavailable   the store cannot commit or read now; the same call may succeed later
    │   └── StoreUnusable      the store will never work as configured (wrong URL, no permission, other schema)
    ├── SendError          a webhook did not reach a gateway; the sender tries the next one
    ├── Unreachable        no gateway answered a client; asking again may help
    └── SettingsError      a setting has a value that cannot be used

`Refused` is always the peer's fault and is answered; every other one is ours and is reported. A client raises the
`Refused` that a gateway answered it.
"""

from collections.abc import Mapping


def shown(value: object) -> str:
    """How a value that was refused appears in the answer: as Python writes it, up to 60 characters."""
    try:
        text = repr(value)
    except ValueError:
        # An integer that is too long for Python to write; it came from a client, so it must not raise here.
        text = f"a very long {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


class SkyhooksError(Exception):
    """Base of everything that skyhooks raises on purpose."""


class Refused(SkyhooksError):
    """A request that cannot be accepted, with the answer it gets.

    `code` is stable and meant for programs, `detail` is a sentence for people (what was expected, what came),
    `status` is the HTTP status, `headers` are sent with the answer.
    """

    def __init__(self, code: str, detail: str, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.headers = dict(headers or {})


class StoreError(SkyhooksError):
    """Base of what a store raises."""


class StoreUnavailable(StoreError):
    """The store could not do it now: nothing is known of what was asked, and it may be asked again."""


class StoreUnusable(StoreError):
    """The store cannot be used as it is configured; asking again will not help."""


class SendError(SkyhooksError):
    """A webhook was not accepted by the gateway it was sent to."""


class Unreachable(SkyhooksError):
    """No gateway answered where a client looked for one, or its answer was not one of a gateway."""


class SettingsError(SkyhooksError):
    """A setting cannot be used: the message says which one, what was expected and what came."""
