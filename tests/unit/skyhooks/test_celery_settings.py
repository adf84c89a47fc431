"""Where the settings of the Celery side come from, and which are refused."""

from pathlib import Path

import pytest
from celery import Celery

from skyhooks.celery_settings import GATEWAY_BODY, CelerySettings
from skyhooks.errors import SettingsError
from skyhooks.signature import make_secret

SECRET = make_secret(bytes(32))


def test_the_configuration_wins_over_the_environment_and_that_over_the_default() -> None:
    environ = {"SKYHOOKS_DEADLINE": "7", "SKYHOOKS_STORE": "memory://", "OTHER": "x"}

    settings = CelerySettings.of({"skyhooks_deadline": 3}, environ)

    assert (settings.deadline, settings.store, settings.connect_timeout) == (3.0, "memory://", 2.0)


def test_djangos_namespace_is_understood() -> None:
    class DjangoSettings:
        CELERY_SKYHOOKS_DEADLINE = 4
        CELERY_TASK_DEFAULT_QUEUE = "shop"

    app = Celery("x", set_as_current=False)
    app.config_from_object(DjangoSettings, namespace="CELERY")

    assert CelerySettings.of(app.conf, {}).deadline == 4.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deadline", "soon"),
        ("deadline", 0),
        ("spool_size", -1),
        ("max_result_bytes", GATEWAY_BODY),
        ("in_process", "perhaps"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"app.conf.skyhooks_{name}"):
        CelerySettings.of({f"skyhooks_{name}": value}, {})
    with pytest.raises(SettingsError, match=f"SKYHOOKS_{name.upper()}"):
        CelerySettings.of({}, {f"SKYHOOKS_{name.upper()}": str(value)})


def test_secrets_are_parsed_and_never_repeated() -> None:
    assert len(CelerySettings.of({"skyhooks_secret": f"{SECRET} {SECRET}"}, {}).secrets()) == 2
    assert CelerySettings.of({}, {}).secrets() == ()
    with pytest.raises(SettingsError, match="skyhooks_secret") as caught:
        CelerySettings.of({"skyhooks_secret": "whsec_hunter2"}, {}).secrets()
    assert "hunter2" not in str(caught.value)


def test_each_store_has_a_spool_of_its_own() -> None:
    settings, environ = CelerySettings.of({}, {}), {"XDG_STATE_HOME": "/state", "SKYHOOKS_STORE": "memory://"}

    first, second = (settings.spool_folder(url, environ) for url in ("sqlite:///a.db", "sqlite:///b.db"))

    assert first.parent == second.parent == Path("/state/skyhooks/spool")
    assert first != second


def test_a_spool_can_be_named() -> None:
    settings = CelerySettings.of({"skyhooks_spool": "/var/spool/hooks"}, {})

    assert settings.spool_folder("memory://", {}) == Path("/var/spool/hooks")


def test_the_file_of_authorities_is_there(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    assert CelerySettings.of({}, {"SKYHOOKS_CA": str(file)}).ca == str(file)
    with pytest.raises(SettingsError, match=r"ca from app\.conf\.skyhooks_ca"):
        CelerySettings.of({"skyhooks_ca": "/nowhere.pem"}, {})
