"""The tail view in a real browser: it grows as publications come, escapes everything, and needs no script."""

from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE
from tests.gateways import Gateway, running

DEMO = "/channels/accounts/demo"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running("--open", "-X", "ring_count=5", "-X", "keepalive_seconds=1") as gateway:
        yield gateway
        assert gateway.problems == []


def publish(gateway: Gateway, path: str, *values: object) -> list[str]:
    return [requests.post(gateway.url + path, json=value, timeout=5).json()["position"] for value in values]


def watch(page: Page, url: str) -> None:
    """Open a page that never ends loading."""
    page.goto(url, wait_until="commit")


def test_publications_appear_as_they_come_with_the_newest_on_top(gateway: Gateway, page: Page) -> None:
    watch(page, f"{gateway.url}{DEMO}?view=tail")
    items = page.locator("li")
    expect(items).to_have_count(1)
    for number in range(3):
        publish(gateway, DEMO, {"n": number})
        expect(items).to_have_count(2 + number)
        expect(items.last).to_contain_text(str(number))
    tops = [items.nth(number).bounding_box()["y"] for number in range(4)]  # type: ignore[index]
    assert tops == sorted(tops, reverse=True)
    assert page.title() == "accounts/demo"


def test_its_links_lead_to_what_followed(gateway: Gateway, page: Page) -> None:
    path = "/channels/accounts/links"
    positions = publish(gateway, path, "one", "two", "three")
    watch(page, f"{gateway.url}{path}?view=tail&since=0")
    expect(page.locator("li")).to_have_count(4)
    page.locator(f"a[href$='since={positions[1]}']").click(no_wait_after=True)
    expect(page.locator("li")).to_have_count(2)
    expect(page.locator("li").last).to_contain_text("three")


def test_nothing_that_is_published_runs_or_becomes_markup(gateway: Gateway, page: Page) -> None:
    hostile = "</code><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    path = "/channels/accounts/hostile"
    publish(gateway, path, hostile, {hostile: hostile})
    watch(page, f"{gateway.url}{path}?view=tail&since=0")
    expect(page.locator("li")).to_have_count(3)
    expect(page.locator("li").last).to_contain_text("onerror")
    assert page.locator("script, img").count() == 0
    assert page.title() == "accounts/hostile"


def test_it_works_without_scripts_in_light_and_dark(gateway: Gateway, chromium: Browser) -> None:
    publish(gateway, "/channels/accounts/style", {"state": "SUCCESS"})
    for scheme, dark in (("light", False), ("dark", True)):
        with chromium.new_context(java_script_enabled=False, color_scheme=scheme) as context:  # type: ignore[arg-type]
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            watch(page, f"{gateway.url}/channels/accounts/style?view=tail&since=0")
            expect(page.locator("dd")).to_have_text('"SUCCESS"')
            colour = page.locator("dd code")
            red = 200 if dark else 100
            shade = colour.evaluate("element => getComputedStyle(element).color")
            assert (int(shade.removeprefix("rgb(").split(",")[0]) > red) is dark, shade
            assert page.locator("ol").evaluate("element => getComputedStyle(element).flexDirection") == "column-reverse"


def test_a_gap_is_shown(gateway: Gateway, page: Page) -> None:
    with requests.get(f"{gateway.url}/channels/chat", stream=True, timeout=5):  # without a subscriber nothing is kept
        first, *_ = publish(gateway, "/channels/chat", *range(20))
        watch(page, f"{gateway.url}/channels/chat?view=tail&since={first}")
        expect(page.locator("li")).to_have_count(7)
    expect(page.locator("li.gap")).to_contain_text(f"what came after {first}")
    expect(page.locator("li").last).to_contain_text("19")


def test_it_stays_open_while_nothing_happens(gateway: Gateway, page: Page) -> None:
    path = "/channels/accounts/quiet"
    watch(page, f"{gateway.url}{path}?view=tail")
    expect(page.locator("li")).to_have_count(1)
    page.wait_for_timeout(2500)  # two keepalives
    publish(gateway, path, "after all")
    expect(page.locator("li").last).to_contain_text("after all")
