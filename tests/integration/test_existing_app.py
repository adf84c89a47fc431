"""The example of an app that was there before: its results reach a subscriber, and Celery still has them."""

import json
import sys
from pathlib import Path
from urllib.request import urlopen

from skyhooks.store import open_store
from tests.conftest import Spawn
from tests.processes import eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "existing_app"


def test_a_result_a_failure_and_progress_reach_a_subscriber(spawn: Spawn, tmp_path: Path) -> None:
    for source in EXAMPLE.glob("*.py"):
        (tmp_path / source.name).write_text(source.read_text())
    (tmp_path / "queue").mkdir()
    url = f"sqlite://{tmp_path / 'shop.db'}"
    env = {"SKYHOOKS_STORE": url, "XDG_STATE_HOME": str(tmp_path / "state")}
    gateway = spawn([sys.executable, "-P", "-m", "gateway", "--listen", "127.0.0.1:0", "--open"], env, tmp_path)
    address = gateway.wait_for(r"listening +.*url=(http://\S+)")[1]
    worker = spawn([sys.executable, "-m", "celery", "-A", "shop", "worker", "-c", "2", "-l", "INFO"], env, tmp_path)
    worker.wait_for(r"ready\.$")
    eventually(lambda: open_store(url).leases("nodes/"), what="the gateway's lease")

    with urlopen(f"{address}/channels/accounts/acme", timeout=30) as stream:
        bought = spawn([sys.executable, "buy.py"], env, tmp_path)
        assert bought.wait() == 0
        seen: list[dict[str, object]] = []
        while sum(bool(event.get("end")) for event in seen) < 3:
            envelope = json.loads(stream.readline().strip() or b"{}")
            if "data" in envelope:
                seen.append(envelope["data"])

    ended = {event["task_id"]: event for event in seen if event.get("end")}
    paid, broke, packed = (ended[bought.wait_for(rf"^{name} +(\S+)")[1]] for name in ("paid", "broke", "packed"))
    assert (paid["result"], packed["result"]) == ({"charged": 1999}, "3 items packed")
    assert broke["error"] == {"type": "ValueError", "message": "cannot charge -5 cents"}
    assert [event["meta"]["packed"] for event in seen if event["state"] == "PROGRESS"][-1] == "spoon"
    assert "{'charged': 1999}" in bought.output
    assert "ValueError('cannot charge -5 cents')" in bought.output
