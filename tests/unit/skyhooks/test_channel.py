from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhooks.channel import (
    DEFAULT_NAMESPACES,
    MAX_CHANNEL,
    account_channel,
    account_name,
    channel_name,
    namespace_of,
    task_channel,
)
from skyhooks.errors import Refused

GOOD_ACCOUNTS = ["a", "acme", "ACME", "7", "a.b_c-d:e@f", "...", "a" * 128, "-1"]
BAD_ACCOUNTS: list[Any] = [
    "",
    ".",
    "..",
    "a b",
    "a/b",
    "a\n",
    "\n",
    "a\x00",
    "\u00fc",
    "\u0661",
    "a" * 129,
    "a*",
    "a#",
    "%61",
    None,
    True,
    False,
    7.5,
    2.0**54,
    float("inf"),
    float("nan"),
    b"acme",
    [],
    10**128,
]


@pytest.mark.parametrize("account", GOOD_ACCOUNTS)
def test_an_account_keeps_its_name(account: str) -> None:
    assert account_name(account) == account


@pytest.mark.parametrize(
    ("number", "name"), [(7, "7"), (0, "0"), (-3, "-3"), (2**64, "18446744073709551616"), (7.0, "7"), (-0.0, "0")]
)
def test_an_integer_and_its_digits_are_one_account(number: float, name: str) -> None:
    assert account_name(number) == account_name(name) == name


@pytest.mark.parametrize("account", BAD_ACCOUNTS)
def test_a_bad_account_is_refused(account: Any) -> None:
    with pytest.raises(Refused) as caught:
        account_name(account)
    assert (caught.value.code, caught.value.status) == ("bad_account", 400)


def test_an_integer_too_long_to_write_is_refused_like_any_other() -> None:
    with pytest.raises(Refused) as caught:
        account_name(10**5000)
    assert caught.value.code == "bad_account"


@given(st.one_of(st.text(), st.integers(), st.binary(), st.floats(), st.none(), st.lists(st.text())))
def test_whatever_comes_is_an_account_or_refused(value: object) -> None:
    with suppress(Refused):
        name = account_name(value)
        assert name == str(int(value) if isinstance(value, float) else value)
        assert channel_name(account_channel(name)) == f"accounts/{name}"


@pytest.mark.parametrize("name", ["numbers", "accounts/acme", "tasks/3f2c", "a/b/c", "a.b/..c", "x" * MAX_CHANNEL])
def test_a_channel_keeps_its_name(name: str) -> None:
    assert channel_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "a/..",
        "../a",
        "a/./b",
        "a b",
        "a\x00",
        "a\n",
        "a/b\n",
        "a\\b",
        "\u00fc",
        "a?b",
        "x" * (MAX_CHANNEL + 1),
    ],
)
def test_a_bad_channel_is_refused(name: str) -> None:
    with pytest.raises(Refused) as caught:
        channel_name(name)
    assert (caught.value.code, caught.value.status) == ("bad_channel", 400)


@pytest.mark.parametrize(
    ("name", "namespace"), [("accounts/acme", "accounts"), ("numbers", "numbers"), ("tasks/a/b", "tasks")]
)
def test_the_first_segment_is_the_namespace(name: str, namespace: str) -> None:
    assert namespace_of(name) == namespace


def test_a_task_has_a_channel_of_its_own() -> None:
    assert task_channel("3f2c-1") == "tasks/3f2c-1"
    assert namespace_of(task_channel("3f2c")) == "tasks"


@pytest.mark.parametrize("task_id", ["", ".", "..", "a/b", "a b", "a\n", "x" * 129, "\u00fc"])
def test_an_id_that_cannot_be_part_of_a_channel_is_refused(task_id: str) -> None:
    with pytest.raises(Refused) as caught:
        task_channel(task_id)
    assert caught.value.code == "bad_task_id"


def test_the_longest_account_and_task_have_channels() -> None:
    assert channel_name(account_channel(account_name("a" * 128)))
    assert channel_name(task_channel("a" * 128))


def test_accounts_and_tasks_are_durable_and_remembered_for_a_day() -> None:
    options = {namespace.name: namespace for namespace in DEFAULT_NAMESPACES}
    assert set(options) == {"accounts", "tasks"}
    for namespace in options.values():
        assert namespace.durable
        assert namespace.retention.dedupe >= 86_400
