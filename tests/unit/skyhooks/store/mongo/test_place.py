"""URLs of MongoDB stores."""

from pathlib import Path

import pytest

from skyhooks.errors import StoreUnusable
from skyhooks.store.mongo.place import DEFAULTS, place_of


@pytest.mark.parametrize(
    ("url", "hosts", "database"),
    [
        ("mongodb://h", "h", "skyhooks"),
        ("mongodb://h/", "h", "skyhooks"),
        ("mongodb://h:1,h2:2/work?replicaSet=rs", "h:1,h2:2", "work"),
        ("mongodb://u:p%40ss@[::1]:27018/work", "[::1]:27018", "work"),
        ("mongodb+srv://u:p@cluster.example/work", "cluster.example", "work"),
        ("mongodb://h?w=1", "h", "skyhooks"),
    ],
)
def test_hosts_and_database_are_read_from_the_url(url: str, hosts: str, database: str) -> None:
    place = place_of(url)
    assert (place.hosts, place.database, place.url) == (hosts, database, url)
    assert str(place) == f"MongoDB at {hosts}/{database}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://u:hunter2@h/db", "mongodb://u:**@h/db"),
        ("mongodb://u@h/db", "mongodb://u@h/db"),
        ("mongodb://h/", "mongodb://h/skyhooks"),
        (
            "mongodb://h/db?tlsCertificateKeyFilePassword=hunter2&w=2",
            "mongodb://h/db?tlsCertificateKeyFilePassword=**&w=2",
        ),
        ("mongodb+srv://u:hunter2@h/db?w=2", "mongodb+srv://u:**@h/db?w=2"),
    ],
)
def test_a_url_is_shown_without_its_passwords(url: str, shown: str) -> None:
    assert place_of(url).shown == shown


@pytest.mark.parametrize(
    "url",
    [
        "mongodb:h",
        "mongodb://",
        "mongodb:///db",
        "mongo://h/db",
        "mongodb://h/d.b",
        "mongodb://h/d$b",
        "mongodb://h/" + "d" * 64,
        "mongodb://h:port/db",
        "mongodb://h/db?unheard=1",
        "mongodb://h/db?w",
        "mongodb://u:hun/ter2@h/db",
        "mongodb://u:hun@ter2@h/db",
        "mongodb://u:hunter2%@h/db",
        "mongodb+srv://",
    ],
)
def test_what_cannot_work_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreUnusable, match="a MongoDB store is mongodb://user:password@host") as caught:
        place_of(url)
    assert "ter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_the_url_names_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"none\.pem"):
        place_of(f"mongodb://h/?tls=true&tlsCAFile={tmp_path}/none.pem")


def test_every_call_is_bounded_unless_the_url_says_how() -> None:
    assert place_of("mongodb://h").options() == DEFAULTS
    assert place_of("mongodb://h/?serverselectiontimeoutms=1;APPNAME=x").options() == {
        "connectTimeoutMS": DEFAULTS["connectTimeoutMS"],
        "socketTimeoutMS": DEFAULTS["socketTimeoutMS"],
    }
    assert place_of("mongodb://h/?timeoutMS=100").options() == {"appname": "skyhooks"}
    assert place_of("mongodb://h/?timeoutMS=100&appname=x").options() == {}
