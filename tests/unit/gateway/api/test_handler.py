"""What holds for every handler: who may ask, and how that which is not understood is answered."""

from typing import Any

import pytest
from celery import Celery
from structlog.testing import capture_logs

from gateway.api.control import Control
from tests.unit.gateway.api.conftest import Client, assert_problem
from tests.unit.gateway.broker import sent

COUNTDOWN = "/api/tasks/workers.tasks.countdown"


@pytest.mark.parametrize("path", ["/nowhere", "/api", "/api/", "/api/tasks/", "/api/hooks/a/b", "//", "/api/tasks/a/b"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_path_is_not_found_by_any_method(ask: Client, method: str, path: str) -> None:
    assert_problem(await ask(method, path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", COUNTDOWN, "POST"),
        ("GET", COUNTDOWN, "POST"),
        ("PATCH", "/api/hooks", "GET, HEAD, POST"),
        ("GET", "/api/hooks/1", "DELETE"),
        ("POST", "/healthz", "GET, HEAD"),
        ("BREW", "/readyz", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_told_which_it_does(
    ask: Client, method: str, path: str, allowed: str
) -> None:
    response = await ask(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == allowed


async def test_a_page_of_another_site_cannot_submit(ask: Client, broker: Celery) -> None:
    for origin in (
        "https://evil.example",
        "null",
        f"https://{ask.host}.evil.example",
        "http://127.0.0.1:1",
        "http://[",
    ):
        assert_problem(await ask("POST", COUNTDOWN, {}, Origin=origin), 403, "bad_origin")
    assert sent(broker) == []


async def test_the_gateway_s_own_page_and_those_on_the_list_can_submit(ask: Client) -> None:
    for origin in (f"http://{ask.host}", "https://app.example"):
        assert (await ask("POST", COUNTDOWN, {}, Origin=origin)).code == 202


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example"]
)
@pytest.mark.parametrize("path", ["/", "/api/status", "/static/app.js", "/nowhere"])
async def test_a_name_that_somebody_pointed_here_is_refused(ask: Client, host: str, path: str) -> None:
    assert_problem(await ask("GET", path, Host=host), 421, "bad_host")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "10.0.0.1:8080", "[::1]:8080", "hooks.example", "Hooks.Example:1"]
)
async def test_addresses_localhost_and_known_names_are_answered(ask: Client, host: str) -> None:
    assert (await ask("GET", "/api/status", Host=host)).code == 200


async def test_a_refusal_is_one_line_in_the_log_and_no_traceback(ask: Client) -> None:
    with capture_logs() as lines:
        await ask("POST", COUNTDOWN, b"{", Content_Type="application/json")
        await ask("GET", "/nowhere")
    assert [(line["event"], line["code"]) for line in lines] == [
        ("request_refused", "bad_json"),
        ("request_refused", "not_found"),
    ]
    assert not any("exc_info" in line for line in lines)


async def test_an_error_of_our_own_says_nothing_to_the_client_and_all_to_the_log(ask: Client, control: Control) -> None:
    def broken() -> Any:
        raise KeyError("inner secret")

    control.describe = broken
    with capture_logs() as lines:
        response = await ask("GET", "/api/status")
    assert "inner secret" not in assert_problem(response, 500, "internal_error")
    (line,) = lines
    assert isinstance(line["exc_info"], KeyError)


@pytest.mark.parametrize("path", ["/api/status", "/nowhere", "/healthz", "/", "/static/app.js"])
async def test_every_answer_forbids_sniffing_framing_and_referrers(ask: Client, path: str) -> None:
    headers = (await ask("GET", path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Server" not in headers


async def test_a_body_that_tornado_cannot_parse_is_refused(ask: Client) -> None:
    response = await ask("POST", COUNTDOWN, b"x", Content_Type="multipart/form-data")
    assert_problem(response, 400, "bad_request")


async def test_a_path_that_is_not_text_is_refused(ask: Client) -> None:
    assert_problem(await ask("POST", "/api/tasks/%ff", {}), 400, "bad_request")


async def test_a_query_that_is_not_text_is_refused(ask: Client) -> None:
    assert_problem(await ask("GET", "/api/hooks?account_id=%ff"), 400, "bad_query")
