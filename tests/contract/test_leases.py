"""`LeaseStore`: one holder at a time, terms that only grow, the store's clock."""

from skyhooks.store.base import Lease, Store
from tests.contract.clock import Clock


def take(store: Store, holder: str, name: str = "leader", ttl: float = 10.0) -> Lease | None:
    return store.lease(name, holder, ttl)


def term(store: Store, holder: str) -> int:
    lease = take(store, holder)
    assert lease is not None
    return lease.term


def test_the_first_holder_gets_term_one(store: Store) -> None:
    assert store.lease("leader", "a", 10.0, '{"x":1}') == Lease("leader", "a", 1, 10.0, '{"x":1}')


def test_nobody_else_gets_a_name_that_is_held(store: Store, clock: Clock) -> None:
    take(store, "a")
    clock.advance(9.9)
    assert take(store, "b") is None


def test_renewing_keeps_the_term_and_moves_the_end(store: Store, clock: Clock) -> None:
    take(store, "a")
    clock.advance(9)
    assert term(store, "a") == 1
    clock.advance(9)
    assert take(store, "b") is None


def test_renewing_replaces_the_info(store: Store) -> None:
    store.lease("nodes/a", "a", 10.0, '{"url":"1"}')
    store.lease("nodes/a", "a", 10.0, '{"url":"2"}')
    assert [lease.info for lease in store.leases("nodes/")] == ['{"url":"2"}']


def test_a_name_that_ran_out_goes_to_the_next_with_a_new_term(store: Store, clock: Clock) -> None:
    take(store, "a")
    clock.advance(10)
    assert term(store, "b") == 2
    assert take(store, "a") is None


def test_a_holder_that_comes_back_too_late_gets_a_new_term(store: Store, clock: Clock) -> None:
    take(store, "a")
    clock.advance(10)
    assert term(store, "a") == 2


def test_a_name_that_was_given_up_is_free_and_its_term_remembered(store: Store) -> None:
    take(store, "a")
    assert store.release("leader", "a", 1)
    assert store.leases("") == []
    assert term(store, "b") == 2


def test_the_same_holder_gets_a_new_term_after_giving_up(store: Store) -> None:
    take(store, "a")
    store.release("leader", "a", 1)
    assert term(store, "a") == 2


def test_only_the_holder_under_its_term_gives_up(store: Store, clock: Clock) -> None:
    take(store, "a")
    assert not store.release("leader", "b", 1)
    assert not store.release("leader", "a", 2)
    assert not store.release("other", "a", 1)
    assert take(store, "b") is None
    clock.advance(10)
    assert not store.release("leader", "a", 1)


def test_giving_up_twice_says_that_it_was_not_held(store: Store) -> None:
    take(store, "a")
    assert store.release("leader", "a", 1)
    assert not store.release("leader", "a", 1)


def test_terms_only_grow(store: Store, clock: Clock) -> None:
    terms = []
    for holder in "abcab":
        terms.append(term(store, holder))
        clock.advance(11)
    assert terms == [1, 2, 3, 4, 5]


def test_names_are_independent(store: Store) -> None:
    take(store, "a", "one")
    lease = take(store, "b", "two")
    assert lease is not None
    assert lease.term == 1


def test_leases_in_force_are_listed_by_name(store: Store, clock: Clock) -> None:
    take(store, "b", "nodes/b", ttl=30)
    take(store, "x", "leader", ttl=30)
    take(store, "c", "nodes/c", ttl=5)
    take(store, "a", "nodes/a", ttl=20)
    clock.advance(5)
    assert [(lease.name, lease.left) for lease in store.leases("nodes/")] == [("nodes/a", 15.0), ("nodes/b", 25.0)]
    assert [lease.name for lease in store.leases("")] == ["leader", "nodes/a", "nodes/b"]


def test_a_prefix_is_taken_literally(store: Store) -> None:
    for name in ("a_b", "axb", "a%b", "A_B"):
        take(store, "h", name)
    assert [lease.name for lease in store.leases("a_")] == ["a_b"]
    assert [lease.name for lease in store.leases("a%")] == ["a%b"]
