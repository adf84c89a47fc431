"""Gateways that are right, and each way in which one can be wrong, with real gateways."""

import http.server
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import skyhooks
from skyhooks.checkup import Subject
from skyhooks.checkup.gateways import clocks, gateways, secret, stores
from skyhooks.gateways import hooks_url
from skyhooks.store import open_store
from tests.certificates import Authority
from tests.mongod import replica_set
from tests.processes import free_ports
from tests.unit.skyhooks.checkup.planting import OTHER, SECRET, announce, app, environment, gateway, names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateways")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A gateway that wants signatures, in which nothing is wrong."""
    with gateway(environment(folder)) as url:
        yield url


def subject(folder: Path, *urls: str, secret: str = SECRET, **more: str) -> Subject:
    return Subject(environment(folder, secret, **more), app(), urls=urls)


def test_a_sound_gateway_passes_every_check(folder: Path, url: str) -> None:
    sound = subject(folder, url)
    found = [finding for check in (gateways, stores, clocks, secret) for finding in check(sound)]
    assert [finding.level for finding in found] == ["ok"] * 4
    assert "1 of 1 live nodes take it" in found[-1].what


def test_a_visit_publishes_nothing(folder: Path, url: str) -> None:
    store = open_store(f"sqlite://{folder}/store.db")
    mark = store.news(None).mark
    for text in (SECRET, OTHER):
        list(secret(subject(folder, secret=text)))
    assert store.news(mark).heads == {}
    store.close()


def test_no_gateway_at_all(tmp_path: Path) -> None:
    assert names(gateways, subject(tmp_path)) == ["no_gateway"]


def test_a_gateway_on_another_store(folder: Path, url: str, tmp_path: Path) -> None:
    alone = subject(tmp_path, url)
    assert names(stores, alone) == ["other_store"]
    assert names(gateways, alone) == ["no_gateway"]


def test_a_url_where_nothing_answers(folder: Path) -> None:
    assert names(stores, subject(folder, f"http://127.0.0.1:{free_ports()}")) == ["url_silent"]


def test_a_registered_gateway_that_does_not_answer(tmp_path: Path) -> None:
    lonely = subject(tmp_path)
    announce(lonely, "gone", f"http://127.0.0.1:{free_ports()}")
    (finding,) = gateways(lonely)
    assert finding.name == "gateway_unreachable"
    assert "Connection refused" in finding.what


def test_a_registered_url_at_which_another_gateway_answers(url: str, tmp_path: Path) -> None:
    mistaken = subject(tmp_path)
    announce(mistaken, "g7", url)
    assert names(gateways, mistaken) == ["not_a_gateway"]


def test_a_registered_url_at_which_another_program_answers(tmp_path: Path) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    mistaken = subject(tmp_path)
    announce(mistaken, "g7", f"http://127.0.0.1:{server.server_address[1]}")
    assert names(gateways, mistaken) == ["not_a_gateway"]
    server.shutdown()
    server.server_close()


def test_a_gateway_that_refuses_the_name_in_its_own_url(tmp_path: Path) -> None:
    port = free_ports()
    # An address in a form that is no IP literal, and so a name to be allowed.
    options = ("--listen", f"127.0.0.1:{port}", "-X", f"public_url=http://127.1:{port}")
    with gateway(environment(tmp_path), *options):
        assert names(gateways, subject(tmp_path)) == ["host_refused"]


def test_a_gateway_that_is_not_ready(tmp_path: Path) -> None:
    with replica_set(tmp_path / "mongod") as mongod:
        looked_at = subject(tmp_path, SKYHOOKS_STORE=mongod.url("shop"))
        with gateway(looked_at.environ):
            assert len(looked_at.nodes) == 1
            for process in mongod.members.values():
                process.signal(signal.SIGSTOP)
            (finding,) = gateways(looked_at)
            for process in mongod.members.values():
                process.signal(signal.SIGCONT)
    assert finding.name == "gateway_not_ready"
    assert "the store did not answer within 1 second" in finding.what


def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("gateway", "IP:127.0.0.1")
    options = ("-X", f"tls_certificate={certificate}", "-X", f"tls_key={key}")
    with gateway(environment(tmp_path), *options) as url:
        assert url.startswith("https://")
        assert names(gateways, subject(tmp_path)) == ["gateway_untrusted"]
        trusting = subject(tmp_path, SKYHOOKS_CA=str(authority.path))
        assert names(gateways, trusting) == []
        assert names(secret, trusting) == []


def test_another_version(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skyhooks, "__version__", "99.0")
    assert names(gateways, subject(folder)) == ["other_version"]


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [(0.0, []), (45.0, []), (90.0, ["clocks_apart"]), (-90.0, ["clocks_apart"]), (400.0, ["clock_wrong"])],
)
def test_the_clocks_are_compared(tmp_path: Path, ahead: float, expected: list[str]) -> None:
    # A file's store goes by the clock of whoever asks, so the lease has to outlast the difference.
    with gateway(environment(tmp_path), "-X", "lease_seconds=900", ahead=ahead):
        looked_at = subject(tmp_path)
        assert names(clocks, looked_at) == expected
        # A clock that is wrong is not taken for a secret that is.
        assert names(secret, looked_at) == []


def test_no_secret_where_a_gateway_wants_one(folder: Path, url: str) -> None:
    assert names(secret, subject(folder, secret="")) == ["no_secret"]


def test_no_secret_where_none_is_wanted(tmp_path: Path) -> None:
    with gateway(environment(tmp_path, ""), "--open"):
        assert names(secret, subject(tmp_path, secret="")) == ["unsigned"]


def test_a_secret_that_is_none_and_is_not_repeated(folder: Path, url: str) -> None:
    (finding,) = secret(subject(folder, secret="whsec_hidden"))
    assert finding.name == "bad_secret"
    assert "hidden" not in finding.what + finding.fix


def test_another_secret_than_the_gateways(folder: Path, url: str) -> None:
    (finding,) = secret(subject(folder, secret=OTHER))
    assert finding.name == "other_secret"
    assert OTHER not in finding.what + finding.fix


@pytest.mark.parametrize(("given", "expected"), [(f"{SECRET},{OTHER}", []), (f"{OTHER},{SECRET}", ["other_secret"])])
def test_of_several_secrets_the_one_that_signs_counts(folder: Path, url: str, given: str, expected: list[str]) -> None:
    assert names(secret, subject(folder, secret=given)) == expected


def test_the_probe_goes_where_webhooks_go(folder: Path, url: str) -> None:
    (visit,) = subject(folder).visits
    assert (visit.node.url, hooks_url(visit.node.url)) == (url, f"{url}/hooks")
    assert visit.probe is not None
    assert (visit.probe.status, visit.probe.code) == (415, "bad_content_type")
