"""The client protocol from a page in a real browser, without a library: several channels, a task, another gateway."""

import os
import signal
from typing import Any

import requests
from playwright.sync_api import Page

from tests.browser.conftest import PATIENCE, System
from tests.processes import eventually

CLIENT = """
(url) => {
    const state = { answers: {}, seen: {}, positions: {}, closed: false };
    const socket = new WebSocket(url.replace("http", "ws") + "/connect");
    state.say = (command) => socket.send(JSON.stringify(command));
    socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if ("id" in message) { state.answers[message.id] = message.ok ?? message.error; return; }
        state.positions[message.channel] = message.position ?? message.gap.to;
        if ("data" in message) (state.seen[message.channel] ??= []).push(message.data);
    };
    socket.onclose = () => { state.closed = true; };
    window.state = state;
    return new Promise((opened, failed) => { socket.onopen = () => opened(); socket.onerror = failed; });
}
"""


class Client:
    """A page that speaks the protocol."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        page.goto(url)
        page.evaluate(CLIENT, url)

    def say(self, kind: str, number: int, **fields: Any) -> Any:
        """Send a command, and wait for its answer."""
        self._page.evaluate("(command) => state.say(command)", {"type": kind, "id": number, **fields})
        self.until(f"{number} in state.answers")
        return self._page.evaluate(f"state.answers[{number}]")

    def until(self, condition: str) -> None:
        # Asked again and again from outside: the page's policy lets no script of a test's in.
        eventually(lambda: self._page.evaluate(condition), PATIENCE / 1000, condition)

    def get(self, what: str) -> Any:
        return self._page.evaluate(what)


def submit(system: System) -> str:
    """Have a sum worked out for the account; the task's id."""
    url, terms = f"{system.urls[1]}/api/tasks/workers.tasks.add", {"args": [20, 22], "account": "page"}
    return str(requests.post(url, json=terms, timeout=10).json()["task_id"])


def test_a_page_follows_two_channels_and_goes_on_at_another_gateway(system: System, page: Page) -> None:
    client = Client(page, system.urls[0])
    assert client.say("subscribe", 1, channel="accounts/page") == {"channel": "accounts/page"}
    assert client.say("subscribe", 2, channel="chat") == {"channel": "chat"}
    assert client.say("publish", 3, channel="chat", data="hello")["status"] == "sent"
    client.until("state.seen.chat?.[0] === 'hello'")
    task = submit(system)
    client.until("state.seen['accounts/page']?.some((one) => one.end)")
    end = client.get("state.seen['accounts/page'].at(-1)")
    assert (end["task_id"], end["state"], end["result"]) == (task, "SUCCESS", 42)
    position = client.get("state.positions['accounts/page']")

    os.kill(system.pid_of_the_first_gateway(), signal.SIGKILL)
    client.until("state.closed")
    again = submit(system)
    client = Client(page, system.urls[1])
    client.say("subscribe", 1, channel="accounts/page", since=position)
    client.until("state.seen['accounts/page']?.some((one) => one.end)")
    assert {one["task_id"] for one in client.get("state.seen['accounts/page']")} == {again}
