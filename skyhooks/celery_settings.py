"""The settings of the Celery side: ``app.conf.skyhooks_<name>``, else ``SKYHOOKS_<NAME>`` in the environment, else
the default.

Under Django's namespace the same settings are spelled ``CELERY_SKYHOOKS_<NAME>``.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from skyhooks.errors import SettingsError
from skyhooks.settings import ENV_PREFIX, Setting, Settings, boolean, positive
from skyhooks.signature import Secret, parse_secrets
from skyhooks.store import default_url

PREFIX: Final = "skyhooks_"
GATEWAY_BODY: Final = 1024 * 1024
"""Bytes of a body that a gateway takes by default; a result has to leave room for its envelope."""


def _result_bytes(text: str) -> int:
    value = positive(int)(text)
    if value > GATEWAY_BODY - 64 * 1024:
        raise ValueError(
            f"expected at most {GATEWAY_BODY - 64 * 1024}, so that a webhook fits into a gateway's body limit"
        )
    return value


def _file(text: str) -> str:
    if text and not Path(text).is_file():
        raise ValueError("expected the path of a file that is there")
    return text


class CelerySettings(Settings):
    """What can be set for a worker (and for whoever asks for results)."""

    secret = Setting("", str, "signs webhooks, whsec_…; without it only gateways that are --open are talked to")
    store = Setting(
        "", str, "the store's URL, where result_backend does not name it: skyhooks+sqlite:///absolute/path.db"
    )
    spool = Setting(
        "", str, "folder for results that could not be delivered in time; default: one per store in the state folder"
    )
    spool_size = Setting(256 * 1024 * 1024, positive(int), "bytes that the spool may hold; when it is full, tasks wait")
    deadline = Setting(
        30.0, positive(float), "seconds that the end of a task waits to be delivered before it is spooled"
    )
    ca = Setting(
        "",
        _file,
        "PEM file of the authorities that gateways' certificates are checked against; empty means the usual ones",
    )
    connect_timeout = Setting(2.0, positive(float), "seconds for connecting to a gateway")
    read_timeout = Setting(10.0, positive(float), "seconds for a gateway's answer")
    progress_queue = Setting(1000, positive(int), "states that are not results which may wait; the oldest are dropped")
    max_result_bytes = Setting(
        512 * 1024, _result_bytes, "bytes of a publication; a larger result becomes an error (too_large)"
    )
    mesh_key = Setting(
        "", str, "file of this worker's CURVE key (`skyhooks keys` makes it), for a journal on nodes that want one"
    )
    in_process = Setting(False, boolean, "allow memory:// in a worker, because everything runs in one process (tests)")

    @classmethod
    def of(cls, conf: Any, environ: Mapping[str, str]) -> Self:
        """Settle the settings for a Celery app. Raises `SettingsError` naming the setting."""
        values: dict[str, Any] = {}
        for setting in cls.all():
            given = conf.get(PREFIX + setting.name)
            if setting.name == "store" and not isinstance(given, str):
                given = None  # a store object, which tests hand over
            variable = ENV_PREFIX + setting.name.upper()
            if given is not None:
                values[setting.name] = setting.parse(given, f"app.conf.{PREFIX}{setting.name}")
            elif variable in environ:
                values[setting.name] = setting.parse(environ[variable], f"${variable}")
        return cls(**values)

    def secrets(self) -> tuple[Secret, ...]:
        """The signing secrets; none when there is no setting. Raises `SettingsError`, which does not repeat them."""
        try:
            return parse_secrets(self.secret)
        except SettingsError as error:
            raise SettingsError(f"skyhooks_secret: {error}") from None

    def spool_folder(self, store_url: str, environ: Mapping[str, str]) -> Path:
        """Where results wait for the store at `store_url`: each store has its own, so that none is drained into
        another.
        """
        if self.spool:
            return Path(self.spool).expanduser().absolute()
        state = Path(default_url({**environ, "SKYHOOKS_STORE": ""}).removeprefix("sqlite://")).parent
        return state / "spool" / hashlib.blake2b(store_url.encode(), digest_size=8).hexdigest()
