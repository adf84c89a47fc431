"""The figures of a system: asked of real parts, and shown as text."""

from pathlib import Path

from skyhooks import brokers
from skyhooks.checkup import Subject
from skyhooks.checkup.overview import Overview, lines, overview
from skyhooks.parcel import Contents
from skyhooks.spool import Spool
from tests.processes import free_ports
from tests.servers.redis import Redis
from tests.unit.skyhooks.checkup.planting import OTHER, announce, app, environment, gateway


def look(env: dict[str, str], url: str) -> Overview:
    celery = app()
    brokers.configure(celery, url)
    return overview(celery, Subject(env, celery), 0.2)


def test_what_waits_and_who_lives_is_shown(tmp_path: Path) -> None:
    env = environment(tmp_path)
    url = f"file://{tmp_path}/broker"
    celery = app()
    brokers.configure(celery, url)
    for _ in range(3):
        celery.send_task("shop.pay")
    Spool(tmp_path / "spool", 1 << 20).put(Contents(b'{"keys":{"task_id":"t"},"data":1}'))
    with gateway(env, "--node-id", "g1") as address:
        announce(Subject(env), "gone", f"http://127.0.0.1:{free_ports()}")
        view = look(env, url)
    assert view.works
    assert view.queues == {"celery": 3}
    assert (view.waiting.count, view.workers) == (1, [])
    first, second = view.nodes
    assert (first.id, first.url, first.open, first.problem, first.subscribers) == ("g1", address, False, "", 0)
    assert (second.id, second.subscribers) == ("gone", None)
    text = "\n".join(lines(view))
    assert f"g1  {address}  signed, ready, 0 subscribers, 0 channels" in text
    assert "gone  http://127.0.0.1:" in text
    assert "not usable: ConnectionRefusedError" in text
    assert "1 results wait, the oldest for" in text
    assert "waiting: celery 3" in text
    assert "workers  none answers" in text


def test_what_cannot_be_asked_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    env = environment(tmp_path, SKYHOOKS_STORE="postgres://me:hidden@host", SKYHOOKS_SPOOL=str(tmp_path / "file" / "x"))
    (tmp_path / "file").touch()
    view = look(env, f"redis://me:hidden@127.0.0.1:{free_ports()}/0")
    assert not view.works
    assert (view.nodes, view.queues) == ([], {})
    text = "\n".join(lines(view))
    assert "nodes    none is alive" in text
    assert "a store is memory://" in text
    assert "Not a directory" in text
    assert "Connection refused" in text
    assert "hidden" not in text


def test_a_gateway_that_refuses_our_secret_is_shown_as_not_usable(tmp_path: Path) -> None:
    with gateway(environment(tmp_path)):
        view = look(environment(tmp_path, OTHER), f"file://{tmp_path}/broker")
    (node,) = view.nodes
    assert "it refuses our webhooks: 401 (bad_signature)" in node.problem


def test_a_queue_that_nobody_has_declared_is_left_out(tmp_path: Path) -> None:
    server = Redis(tmp_path / "redis", keep=False)
    try:
        view = look(environment(tmp_path), server.url())
        assert (view.works, view.queues) == (True, {})
    finally:
        server.kill()
