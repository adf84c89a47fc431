"""The page at ``/`` in Chromium, on a running system: real gateways, a real worker, nothing replaced."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, WebSocket, expect

from tests.browser.conftest import PATIENCE, System
from tests.conftest import Spawn

expect.set_options(timeout=PATIENCE)


def watch(page: Page, url: str, account: str) -> None:
    """Open the page for an account, and wait until it is live."""
    page.goto(f"{url}/?account={account}")
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.get_by_role("heading", name=f"Tasks of {account}")).to_be_visible()


def submit(page: Page, task: str, args: list[Any] | None = None, kwargs: dict[str, Any] | None = None) -> Locator:
    """Fill in the form as a person does; the row that appears for the task."""
    page.get_by_label("Task", exact=True).select_option(f"workers.tasks.{task}")
    if args is not None:
        page.get_by_label("Arguments JSON list").fill(json.dumps(args))
    if kwargs is not None:
        page.get_by_label("Named arguments").fill(json.dumps(kwargs))
    with page.expect_response("**/api/tasks/**") as answered:
        page.get_by_role("button", name="Submit").click()
    task_id = answered.value.json()["task_id"]
    return page.locator(".task").filter(has=page.locator(f'.id[title="{task_id}"]'))


def listen(page: Page) -> list[dict[str, Any]]:
    """Every message that the page's WebSockets receive from now on."""
    messages: list[dict[str, Any]] = []

    def follow(socket: WebSocket) -> None:
        socket.on("framereceived", lambda text: messages.append(json.loads(text)))

    page.on("websocket", follow)
    return messages


def ended(messages: list[dict[str, Any]]) -> list[str]:
    """The states of the tasks that have ended, as the messages tell them."""
    return [message["data"]["state"] for message in messages if message.get("data", {}).get("end")]


def test_a_submitted_task_s_progress_and_result_appear_as_they_come(page: Page, system: System) -> None:
    watch(page, system.urls[0], "progress")
    expect(page.get_by_text("Nothing has happened for this account yet.")).to_be_visible()
    row = submit(page, "countdown", kwargs={"total": 4, "delay": 0.5})
    expect(row.locator(".badge")).to_have_text("Running")
    expect(row.get_by_role("progressbar")).to_have_attribute("value", "2")
    expect(row.locator(".count")).to_have_text("2 / 4")
    expect(row.locator(".badge")).to_have_text("Done")
    expect(row.locator(".count")).to_have_text("4 / 4")
    expect(row.get_by_label("Result")).to_be_visible()
    expect(page.get_by_text("Nothing has happened for this account yet.")).to_be_hidden()
    expect(page.locator("#announcer")).to_have_text("countdown: Done")


def test_a_failure_shows_its_error(page: Page, system: System) -> None:
    watch(page, system.urls[0], "failure")
    row = submit(page, "fail")
    expect(row.locator(".badge")).to_have_text("Failed")
    expect(row.get_by_label("Error")).to_contain_text("Error")


def test_a_retry_is_seen_and_counted(page: Page, system: System) -> None:
    watch(page, system.urls[0], "retry")
    row = submit(page, "flaky")
    expect(row.locator(".badge")).to_have_text("Done")
    expect(row.locator(".retries")).to_have_text("2 retries")


def test_a_chain_s_tasks_appear_under_the_account_that_started_it(page: Page, system: System) -> None:
    watch(page, system.urls[0], "chain")
    submit(page, "pipeline")
    expect(page.locator(".task")).not_to_have_count(1)
    expect(page.locator("#summary")).not_to_contain_text("under way")


def test_a_result_is_shown_as_text_whatever_it_holds(page: Page, system: System) -> None:
    watch(page, system.urls[0], "markup")
    row = submit(page, "add", args=["<img src=x onerror=alert(1)>", "<b>bold</b>"])
    expect(row.get_by_label("Result")).to_have_text('"<img src=x onerror=alert(1)><b>bold</b>"')
    assert row.locator(".outcome *").count() == 0


def test_a_page_that_comes_later_and_from_the_other_gateway_shows_what_it_missed(page: Page, system: System) -> None:
    watch(page, system.urls[0], "later")
    submit(page, "add", args=[20, 22])
    expect(page.locator(".task .outcome")).to_have_text("42")
    watch(page, system.urls[1], "later")
    expect(page.locator(".task .outcome")).to_have_text("42")
    expect(page.locator(".task .badge")).to_have_text("Done")


def test_pages_of_both_gateways_see_a_task_at_the_same_time(chromium: Browser, page: Page, system: System) -> None:
    with chromium.new_context() as elsewhere:
        other = elsewhere.new_page()
        watch(other, system.urls[1], "both")
        watch(page, system.urls[0], "both")
        submit(page, "countdown", kwargs={"total": 3, "delay": 0.3})
        for one in (page, other):
            expect(one.locator(".badge")).to_have_text("Done")


def test_another_account_shows_its_own_tasks_only(page: Page, system: System) -> None:
    watch(page, system.urls[0], "first")
    submit(page, "add", args=[1, 1])
    expect(page.locator(".task")).to_have_count(1)
    page.get_by_label("Account").fill("second")
    page.get_by_label("Account").press("Tab")
    expect(page.get_by_role("heading", name="Tasks of second")).to_be_visible()
    expect(page.locator(".task")).to_have_count(0)
    assert page.url == f"{system.urls[0]}/?account=second"
    expect(page.locator("#command")).to_have_text(f"curl -N {system.urls[0]}/channels/accounts/second")


@pytest.mark.parametrize(
    ("label", "text", "complaint"),
    [
        ("Arguments JSON list", "[1,", "Arguments are a JSON list"),
        ("Arguments JSON list", "{}", "Arguments are a JSON list"),
        ("Named arguments", "[]", "Named arguments are a JSON object"),
        ("Account", "no spaces", "An account is 1 to 128 letters"),
    ],
)
def test_what_cannot_be_submitted_is_said_at_its_field_and_not_sent(
    page: Page, system: System, label: str, text: str, complaint: str
) -> None:
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    watch(page, system.urls[0], "typo")
    page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_contain_text(complaint)
    expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label(label)).to_be_focused()
    assert sent == []


def test_the_page_survives_its_gateway_and_misses_nothing(page: Page, system: System) -> None:
    messages = listen(page)
    watch(page, system.urls[0], "crash")
    row = submit(page, "countdown", kwargs={"total": 8, "delay": 0.5})
    expect(row.locator(".badge")).to_have_text("Running")
    os.kill(system.pid_of_the_first_gateway(), signal.SIGKILL)
    expect(page.locator("#connection")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#connection")).to_have_text("Live")
    expect(row.locator(".badge")).to_have_text("Done")
    events = [message for message in messages if "task_id" in message.get("data", {})]
    offsets = [int(message["position"].rpartition("-")[2]) for message in events]
    assert offsets == list(range(1, len(offsets) + 1))
    assert not any("gap" in message for message in messages)
    assert ended(messages) == ["SUCCESS"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_small_telephone(chromium: Browser, system: System, scheme: Any) -> None:
    with chromium.new_context(viewport={"width": 320, "height": 640}, color_scheme=scheme) as context:
        page = context.new_page()
        watch(page, system.urls[0], "narrow")
        submit(page, "add", args=["x" * 300, "y" * 300])
        expect(page.locator(".task .outcome").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


class TestOneGatewayAlone:
    @pytest.fixture
    def start(self, spawn: Spawn, free_port: Callable[..., int]) -> Callable[..., str]:
        def start(*options: str) -> str:
            url = f"127.0.0.1:{free_port()}"
            argv = (sys.executable, "-P", "-m", "gateway", "--listen", url, "--store", "memory://", "--open", *options)
            spawn(argv).wait_for("listening")
            return f"http://{url}"

        return start

    def test_a_broker_that_is_away_is_said_and_the_form_can_be_sent_again(
        self, page: Page, start: Callable[..., str], free_port: Callable[..., int]
    ) -> None:
        watch(page, start("--broker", f"amqp://guest:guest@127.0.0.1:{free_port()}//"), "demo")
        page.get_by_role("button", name="Submit").click()
        expect(page.get_by_role("alert")).to_contain_text("The task broker cannot be reached")
        expect(page.get_by_role("button", name="Submit")).to_be_enabled()
        expect(page.locator(".task")).to_have_count(0)

    def test_without_a_broker_the_page_says_that_nothing_can_be_submitted(
        self, page: Page, start: Callable[..., str]
    ) -> None:
        watch(page, start(), "demo")
        expect(page.get_by_role("alert")).to_contain_text("This gateway submits no tasks")
        expect(page.get_by_role("button", name="Submit")).to_be_disabled()

    def test_without_a_worker_a_task_says_that_it_waits_for_one(
        self, page: Page, start: Callable[..., str], tmp_path: Any
    ) -> None:
        watch(page, start("--broker", f"file://{tmp_path}/broker"), "demo")
        row = submit(page, "add", args=[1, 2])
        expect(row.locator(".badge")).to_have_text("Submitted")
        expect(row.locator(".note")).to_contain_text("No worker has taken it yet")

    def test_what_anybody_publishes_to_the_account_appears(self, page: Page, start: Callable[..., str]) -> None:
        url = start()
        watch(page, url, "demo")
        event = {"task_id": "t1", "task": "proj.report", "state": "PROGRESS", "meta": {"current": 1, "total": 4}}
        assert page.request.post(f"{url}/hooks", data={"keys": {"account_id": "demo"}, "data": event}).ok
        expect(page.locator(".task .name")).to_have_text("report")
        expect(page.locator(".task .count")).to_have_text("1 / 4")
        assert page.request.post(f"{url}/hooks", data={"keys": {"account_id": "demo"}, "data": [1, "not a task"]}).ok
        done = {**event, "state": "SUCCESS", "end": True, "result": {"pages": 7}}
        assert page.request.post(f"{url}/hooks", data={"keys": {"account_id": "demo"}, "data": done}).ok
        expect(page.locator(".task .outcome")).to_have_text('{"pages":7}')


def test_a_gateway_that_stays_away_is_tried_again_and_again(
    page: Page, spawn: Spawn, free_port: Callable[..., int]
) -> None:
    address = f"127.0.0.1:{free_port()}"
    argv = (sys.executable, "-P", "-m", "gateway", "--listen", address, "--store", "memory://", "--open")
    gateway = spawn(argv)
    gateway.wait_for("listening")
    watch(page, f"http://{address}", "demo")
    gateway.close()
    for _ in range(3):
        with page.expect_websocket():
            pass  # the next try
    expect(page.locator("#connection")).to_contain_text("Not connected, trying again")
    again = spawn(argv)
    again.wait_for("listening")
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#connection")).to_have_text("Live")


def test_the_cluster_and_its_numbers_are_shown(page: Page, system: System) -> None:
    watch(page, system.urls[0], "cluster")
    expect(page.locator("#nodes li")).to_have_count(2)
    expect(page.locator("#nodes")).to_contain_text("★ node-")
    expect(page.locator("#leadership")).to_contain_text("led by node-")
    expect(page.locator("#numbers")).to_have_text(re.compile(r"\d+ · \d+"))
