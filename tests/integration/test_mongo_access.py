"""Getting at MongoDB: users, TLS, and servers that cannot hold a store."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from skyhooks.errors import StoreError, StoreUnavailable, StoreUnusable
from skyhooks.publication import Draft
from skyhooks.store import open_async_store, open_store
from tests.certificates import Authority
from tests.mongod import NAME, ReplicaSet, replica_set, running

PASSWORD = "p@ss/w:rd%?"
ESCAPED = quote_plus(PASSWORD)
DRAFT = Draft(id="p1", channels=("accounts/acme",), data=b"1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom clients of the guarded set trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[ReplicaSet]:
    """A replica set that asks for TLS and for a user; ``worker`` may read and write the database ``work``."""
    folder = tmp_path_factory.mktemp("guarded")
    certificate, key = authority.issue("server", "IP:127.0.0.1")
    both = folder / "server.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    shared = folder / "shared.key"
    shared.write_text("skyhooks" * 8)
    shared.chmod(0o600)
    arguments = (
        "--tlsMode=requireTLS",
        f"--tlsCertificateKeyFile={both}",
        f"--tlsCAFile={authority.path}",
        "--tlsAllowConnectionsWithoutCertificates",
        f"--keyFile={shared}",
    )
    with replica_set(folder, 1, arguments, f"tls=true&tlsCAFile={authority.path}", "root:root") as started:
        with started.client() as client:
            allowed = [{"role": "readWrite", "db": "work"}]
            client.admin.command("createUser", "worker", pwd=PASSWORD, roles=allowed)
        yield started


def url_for(guarded: ReplicaSet, password: str, database: str = "work", source: str = "admin") -> str:
    return guarded.url(database, authSource=source).replace("root:root", f"worker:{password}")


def first_error(url: str) -> StoreError:
    store = open_store(url)
    with pytest.raises(StoreError) as caught:
        store.append([DRAFT])
    store.close()
    return caught.value


def test_a_user_who_may_read_and_write_is_enough(guarded: ReplicaSet) -> None:
    store = open_store(url_for(guarded, ESCAPED))
    assert [outcome.status for outcome in store.append([DRAFT])] == ["stored"]
    store.put_result("key", b"value", 10)
    assert store.get_result("key") == b"value"
    assert ESCAPED not in store.url
    store.close()


async def test_a_gateway_uses_the_same_url(guarded: ReplicaSet) -> None:
    store = open_async_store(url_for(guarded, ESCAPED))
    assert (await store.read("accounts/acme", 0)).publications[0].id == "p1"
    await store.close()


@pytest.mark.parametrize(("password", "database", "source"), [("wrong", "work", "admin"), (ESCAPED, "work", "work")])
def test_wrong_credentials_are_said(guarded: ReplicaSet, password: str, database: str, source: str) -> None:
    error = first_error(url_for(guarded, password, database, source))
    assert isinstance(error, StoreUnusable)
    assert "refused the user name or the password" in str(error)
    assert PASSWORD not in str(error)
    assert ESCAPED not in str(error)


def test_a_user_without_the_right_to_write_is_told_the_role(guarded: ReplicaSet) -> None:
    error = first_error(url_for(guarded, ESCAPED, "other"))
    assert isinstance(error, StoreUnusable)
    assert "readWrite" in str(error)


def test_a_server_that_the_authority_did_not_certify_is_not_spoken_to(guarded: ReplicaSet, tmp_path: Path) -> None:
    url = url_for(guarded, ESCAPED).split("&tls")[0]
    stranger = Authority(tmp_path)
    error = first_error(f"{url}&tls=true&tlsCAFile={stranger.path}&serverSelectionTimeoutMS=500&authSource=admin")
    assert isinstance(error, StoreUnavailable)
    assert "certificate" in str(error)


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"none\.pem"):
        open_store(f"mongodb://127.0.0.1:1/?tls=true&tlsCAFile={tmp_path}/none.pem")


def test_a_mongod_that_stands_alone_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with running(tmp_path, []) as (port, _):
        error = first_error(f"mongodb://127.0.0.1:{port}/")
    assert isinstance(error, StoreUnusable)
    assert "--replSet" in str(error)
    assert "rs.initiate()" in str(error)


def test_a_replica_set_that_was_never_started_is_told_how(tmp_path: Path) -> None:
    with running(tmp_path, [f"--replSet={NAME}"]) as (port, process):
        error = first_error(f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=1500")
        assert isinstance(error, StoreUnavailable)
        assert "rs.initiate()" in str(error), process.output


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = first_error(f"mongodb://me:hunter2@127.0.0.1:{port}/?serverSelectionTimeoutMS=300")
    assert isinstance(error, StoreUnavailable)
    assert f"127.0.0.1:{port}" in str(error)
    assert "hunter2" not in str(error)
