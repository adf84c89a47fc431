"""`LogStore.news`: what has been appended, by anyone."""

from skyhooks.channel import Retention
from skyhooks.store.base import Store
from tests.contract.clock import Clock
from tests.contract.drafts import ACME, BOTH, TASK, draft


def test_asking_for_a_mark_names_no_channel(store: Store) -> None:
    store.append([draft("1")])
    assert store.news(None).heads == {}


def test_an_empty_store_has_no_news(store: Store) -> None:
    news = store.news(None)
    assert store.news(news.mark) == news


def test_channels_that_have_grown_are_named_with_their_heads(store: Store) -> None:
    store.append([draft("1", "accounts/a"), draft("1", "accounts/b")])
    mark = store.news(None).mark
    outcomes = store.append([draft("2", "accounts/b"), draft("3", "accounts/b"), draft("1", "accounts/c")])
    assert store.news(mark).heads == {
        "accounts/b": outcomes[1].positions["accounts/b"],
        "accounts/c": outcomes[2].positions["accounts/c"],
    }


def test_news_are_told_once(store: Store) -> None:
    mark = store.news(None).mark
    store.append([draft("1")])
    news = store.news(mark)
    assert news.mark != mark
    assert store.news(news.mark).heads == {}


def test_news_are_there_for_everyone_who_asks_with_his_own_mark(store: Store) -> None:
    early = store.news(None).mark
    store.append([draft("1", "accounts/a")])
    late = store.news(early).mark
    store.append([draft("1", "accounts/b")])
    assert list(store.news(late).heads) == ["accounts/b"]
    assert set(store.news(early).heads) == {"accounts/a", "accounts/b"}


def test_both_channels_of_a_result_are_news(store: Store) -> None:
    mark = store.news(None).mark
    (outcome,) = store.append([draft("1", *BOTH)])
    assert store.news(mark).heads == outcome.positions
    assert set(outcome.positions) == {TASK, ACME}


def test_what_was_not_stored_is_no_news(store: Store) -> None:
    store.append([draft("1", fence=2)])
    mark = store.news(None).mark
    store.append([draft("1", fence=2), draft("2", fence=1)])
    assert store.news(mark).heads == {}


def test_retention_does_not_move_the_mark_back(store: Store, clock: Clock) -> None:
    store.append([draft("1", ACME), draft("2", TASK), draft("3", TASK)])
    mark = store.news(None).mark
    clock.advance(10**7)
    store.trim("tasks", Retention())
    assert store.head(TASK) is None
    (outcome,) = store.append([draft("4", TASK)])
    assert store.news(mark).heads == outcome.positions
