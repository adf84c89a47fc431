import re

import pytest

from gateway.api.dashboard import FOLDER
from tests.unit.gateway.api.conftest import Client, assert_problem


async def test_the_page_and_all_that_it_names_are_served(ask: Client) -> None:
    page = await ask("GET", "/")
    assert page.headers["Content-Type"].startswith("text/html")
    named = set(re.findall(r'(?:src|href)="([^"]+)"', page.body.decode()))
    assert named == {"/static/app.js", "/static/style.css", "/static/icon.svg"}
    for path in named:
        assert (await ask("GET", path)).code == 200


def test_every_module_is_imported_by_one_that_is_there() -> None:
    modules = {path.name: path.read_text() for path in FOLDER.glob("*.js")}
    imported = {name for text in modules.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    assert imported | {"app.js"} == set(modules)


async def test_scripts_and_styles_come_from_this_gateway_only(ask: Client) -> None:
    rules = (await ask("GET", "/")).headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(rules)
    assert not any("unsafe" in rule or "*" in rule for rule in rules)


def test_nothing_in_the_page_needs_inline_script_or_style_or_writes_html() -> None:
    page = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|style=|\son[a-z]+=|<script(?![^>]*src=)", page)
    for module in FOLDER.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", module.read_text())


async def test_a_browser_keeps_a_file_and_asks_whether_it_has_changed(ask: Client) -> None:
    first = await ask("GET", "/static/app.js")
    assert first.headers["Cache-Control"] == "no-cache"
    again = await ask("GET", "/static/app.js", If_None_Match=first.headers["Etag"])
    assert (again.code, again.body) == (304, b"")


async def test_text_is_compressed_for_those_who_take_it(ask: Client) -> None:
    plain = await ask("GET", "/static/style.css")
    packed = await ask("HEAD", "/static/style.css", Accept_Encoding="gzip")
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/none.js",
        "/static/../page.py",
        "/static/%2e%2e/%2e%2e/submit.py",
        "/static//etc/passwd",
        "/x%00",
    ],
)
async def test_nothing_but_the_page_s_files_is_served(ask: Client, path: str) -> None:
    assert_problem(await ask("GET", path), 404, "not_found")


async def test_a_name_that_no_file_system_knows_is_not_found(ask: Client) -> None:
    for name in ("%00", "app.js%00", "a" * 3000):
        assert_problem(await ask("GET", f"/static/{name}"), 404, "not_found")


async def test_a_part_that_a_file_does_not_have_is_refused(ask: Client) -> None:
    answer = await ask("GET", "/static/app.js", Range="bytes=9999999-")
    assert_problem(answer, 416, "bad_range")
    assert answer.headers["Content-Range"].startswith("bytes */")
