"""What several commands share: where the gateway, the store and the secret come from."""

import click
import pytest
from click.testing import CliRunner, Result

from skyhooks.cli import options


@click.command()
@click.argument("data", callback=options.json_value)
@options.urls
@options.store
@options.secret
def show(data: object, urls: tuple[str, ...], store_url: str, secret: str) -> None:
    click.echo(repr((data, urls, store_url, secret)))


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(show, arguments, env={"XDG_STATE_HOME": "/var/state", **environ})


def test_without_anything_it_is_this_machine() -> None:
    assert run("1").stdout == "(1, (), 'sqlite:///var/state/skyhooks/skyhooks.db', '')\n"


def test_the_environment_is_read_and_options_win() -> None:
    environ = {"SKYHOOKS_URL": "http://a http://b", "SKYHOOKS_STORE": "memory://", "SKYHOOKS_SECRET": "s"}
    assert run("1", **environ).stdout == "(1, ('http://a', 'http://b'), 'memory://', 's')\n"
    given = run("1", "--url", "http://c", "--store", "sqlite:///d", "--secret", "e", **environ)
    assert given.stdout == "(1, ('http://c',), 'sqlite:///d', 'e')\n"


@pytest.mark.parametrize(
    ("text", "value"), [('{"a": [1, null]}', {"a": [1, None]}), ('"x"', "x"), ("null", None), (" 1.5 ", 1.5)]
)
def test_json_is_read(text: str, value: object) -> None:
    assert run(text).stdout.startswith(f"({value!r}, ")


@pytest.mark.parametrize("text", ["{", "x", "", "{'a': 1}", "1 2", "NaN"])
def test_what_is_not_json_is_refused_with_an_example(text: str) -> None:
    result = run(text)
    assert result.exit_code == 2
    assert "expected JSON, such as" in result.stderr
