"""The same with npm's ``standardwebhooks``. `make conformance` runs it; it needs node, npm and the network.

Not collected by `make test`, which installs nothing from npm: its name is not one of a test file.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from skyhooks.signature import make_secret
from skyhooks.store.memory import MemoryStore
from tests.conformance.sending import sent
from tests.gateways import running

SECRET = make_secret(bytes(range(32)))
STRANGE = make_secret(b"s" * 32)
BODY = '{"keys":{"account_id":"acme"},"data":"ü"}'
PACKAGE = "standardwebhooks@1"
PROGRAM = """
const { Webhook } = require("standardwebhooks");
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const hook = new Webhook(asked.secret);
if (asked.headers) {
  try { console.log(JSON.stringify({ verified: hook.verify(asked.body, asked.headers) })); }
  catch (error) { console.log(JSON.stringify({ refused: error.name })); }
} else {
  const now = new Date();
  const signature = hook.sign(asked.id, now, asked.body);
  console.log(JSON.stringify({ timestamp: String(Math.floor(now.getTime() / 1000)), signature }));
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    assert not missing, f"install the Debian packages {' and '.join(missing)} (names: nodejs, npm)"
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), PACKAGE]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder


def ask(folder: Path, **question: Any) -> dict[str, Any]:
    text = json.dumps(question)
    done = subprocess.run(
        ["node", "-e", PROGRAM], cwd=folder, input=text, capture_output=True, text=True, check=True, timeout=20
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_what_a_worker_posts_is_accepted(folder: Path) -> None:
    (caught,) = sent(SECRET, MemoryStore(), 1)
    body = caught.body.decode()
    assert ask(folder, secret=SECRET, headers=caught.headers, body=body)["verified"] == json.loads(body)
    changed = body.replace("acme", "evil")
    assert ask(folder, secret=SECRET, headers=caught.headers, body=changed) == {"refused": "WebhookVerificationError"}
    assert ask(folder, secret=STRANGE, headers=caught.headers, body=body) == {"refused": "WebhookVerificationError"}


def test_a_gateway_accepts_what_it_signs(folder: Path) -> None:
    with running("-X", f"secret={SECRET}") as gateway:
        for secret, status in ((SECRET, 200), (STRANGE, 401)):
            made = ask(folder, secret=secret, id="msg_1", body=BODY)
            headers = {
                "content-type": "application/json",
                "webhook-id": "msg_1",
                "webhook-timestamp": made["timestamp"],
                "webhook-signature": made["signature"],
            }
            answer = requests.post(f"{gateway.url}/hooks", data=BODY.encode(), headers=headers, timeout=5)
            assert answer.status_code == status
