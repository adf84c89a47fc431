"""A real gateway against its own description: schemathesis sends what the document allows and what it forbids.

`make test` runs a bounded number of cases; `make conformance CASES=10000` runs at least so many.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from skyhooks.signature import make_secret
from tests.gateways import Gateway, running

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
CASES = int(os.environ.get("CASES", "1000"))
"""How many cases are run at least."""
COVERED = 400
"""About so many cases cover the document whatever is asked for; the rest are examples."""
OF_ONE_EXAMPLE = 12
"""At least so many cases come of one example that is asked for of each operation."""
SECONDS = 30 + CASES / 20


@pytest.mark.timeout(SECONDS + 60)
def test_the_gateway_is_what_it_says_it_is(tmp_path: Path, figure: Callable[[str], None]) -> None:
    options = ("--open", "--store", f"sqlite://{tmp_path}/s.db", "--broker", f"file://{tmp_path}/broker")
    with running(*options) as gateway:
        report = check(gateway, tmp_path, (CASES - COVERED) // OF_ONE_EXAMPLE)
        tried = report["test_cases"]["generated"]
        figure(f"schemathesis: {tried:,} cases in {report['running_time']:.0f} s, seed {report['seed']}")
        assert report["failures"] == []
        assert tried >= CASES
        assert gateway.problems == []
        assert requests.get(f"{gateway.url}/readyz", timeout=5).ok


def test_a_gateway_that_checks_signatures_is_what_it_says_it_is(tmp_path: Path) -> None:
    with running("-X", f"secret={make_secret(b's' * 24)}", "--broker", f"file://{tmp_path}/broker") as gateway:
        report = check(gateway, tmp_path, 5)
        assert report["failures"] == []
        assert gateway.problems == []


def test_the_check_finds_an_answer_that_is_not_declared(tmp_path: Path) -> None:
    with running("--open") as gateway:
        document = requests.get(f"{gateway.url}/openapi.json", timeout=5).json()
        document["paths"] = {"/healthz": document["paths"]["/healthz"]}
        state = document["paths"]["/healthz"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        state["properties"]["status"] = {"const": "fine"}
        (tmp_path / "wrong.json").write_text(json.dumps(document))
        report = check(gateway, tmp_path, 1, location=str(tmp_path / "wrong.json"))
        assert [failure["type"] for failure in report["failures"]] == ["JsonSchemaError"]


def check(gateway: Gateway, folder: Path, examples: int, location: str = "") -> dict[str, Any]:
    """Run schemathesis with every check and every phase; its report."""
    report = folder / "report.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
        *("run", location or f"{gateway.url}/openapi.json"),
        *("--url", gateway.url, "--checks", "all", "--max-examples", str(max(examples, 1)), "--continue-on-failure"),
        # Asked to drain, the gateway under test would do so; tests/unit/gateway/api/test_nodes.py asks that.
        *("--exclude-path-regex", "/drain$"),
        *("--generation-database", "none", "--request-timeout", "10", "--no-color"),
        *("--report", "json", "--report-json-path", str(report)),
    ]
    environ = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.conformance.bounded", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    print(done.stdout[-20_000:], done.stderr)
    assert report.is_file(), "schemathesis did not come to its end"
    found: dict[str, Any] = json.loads(report.read_text())
    assert found["complete"]
    assert found["errors"] == []
    assert found["operations"]["tested"] == found["operations"]["selected"]
    assert found["operations"]["total"] - found["operations"]["selected"] <= 1
    return found
