"""Which gateways are tried: those of the account first, the same for every worker, the failing ones last."""

from skyhooks.errors import StoreUnavailable
from skyhooks.gateways import COOL_DOWN, FRESH, MOST_COOL_DOWN, Choice, Gateways, ranked
from skyhooks.journal import Address
from skyhooks.registry import Registry
from skyhooks.store.memory import MemoryStore


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def url(node: int) -> str:
    return f"http://127.0.0.1:{9000 + node}"


def store_with(nodes: int, is_open: bool = False) -> MemoryStore:
    store = MemoryStore()
    for node in range(nodes):
        info = f'{{"url": "{url(node)}", "open": {str(is_open).lower()}}}'
        store.lease(f"nodes/n{node}", f"n{node}", 60, info)
    return store


def test_all_live_nodes_are_candidates_and_the_registered_ones_come_first() -> None:
    store = store_with(4)
    favourite = ranked("acme", [f"n{node}" for node in range(4)])[-1]
    hook = f"{url(int(favourite[1:]))}/hooks"
    Registry(store).register({"account_id": "acme"}, hook, "gateway", favourite)

    chosen = Gateways(store, signing=True).choose("acme", "t").urls

    assert sorted(chosen) == [f"{url(node)}/hooks" for node in range(4)]
    assert chosen[0] == hook


def test_two_workers_choose_alike_and_accounts_spread() -> None:
    store = store_with(3)
    first, second = Gateways(store, signing=True), Gateways(store, signing=True)

    choices = [first.choose(f"account{number}", "t") for number in range(60)]

    assert choices == [second.choose(f"account{number}", "t") for number in range(60)]
    assert {choice.urls[0] for choice in choices} == {f"{url(node)}/hooks" for node in range(3)}


def test_a_node_that_goes_moves_only_its_own_accounts() -> None:
    names = ["a", "b", "c", "d"]

    moved = [key for key in map(str, range(200)) if ranked(key, names)[0] != ranked(key, names[:3])[0]]

    assert all(ranked(key, names)[0] == "d" for key in moved)
    assert 20 < len(moved) < 80


def test_without_an_account_the_task_decides() -> None:
    gateways = Gateways(store_with(3), signing=True)

    assert len({gateways.choose("", f"t{number}").urls[0] for number in range(60)}) == 3


def test_a_gateway_that_failed_comes_last_until_it_has_cooled_down() -> None:
    clock = Clock()
    gateways = Gateways(store_with(3), signing=True, clock=clock)
    before = gateways.choose("acme", "").urls

    gateways.cool(before[0])
    assert gateways.choose("acme", "").urls == (*before[1:], before[0])

    clock.now += COOL_DOWN
    assert gateways.choose("acme", "").urls == before


def test_a_gateway_that_answers_is_warm_again() -> None:
    gateways = Gateways(store_with(2), signing=True, clock=Clock())
    before = gateways.choose("acme", "").urls
    gateways.cool(before[0], 10)
    gateways.warm(before[0])

    assert gateways.choose("acme", "").urls == before


def test_retry_after_is_honoured_within_reason() -> None:
    clock = Clock()
    gateways = Gateways(store_with(2), signing=True, clock=clock)
    before = gateways.choose("acme", "").urls
    gateways.cool(before[0], 86_400.0)

    clock.now += MOST_COOL_DOWN
    assert gateways.choose("acme", "").urls == before


def test_without_a_secret_only_open_gateways_are_chosen() -> None:
    assert Gateways(store_with(2), signing=False).choose("acme", "") == Choice((), refused=2)
    assert len(Gateways(store_with(2, is_open=True), signing=False).choose("acme", "").urls) == 2


def test_a_look_up_counts_for_a_second_and_no_longer() -> None:
    clock, store = Clock(), store_with(1)
    gateways = Gateways(store, signing=True, clock=clock)
    assert len(gateways.choose("acme", "").urls) == 1
    store.lease("nodes/n7", "n7", 60, f'{{"url": "{url(7)}"}}')

    clock.now += FRESH / 2
    assert len(gateways.choose("acme", "").urls) == 1
    clock.now += FRESH / 2
    assert len(gateways.choose("acme", "").urls) == 2


def test_while_the_store_cannot_be_read_what_was_known_counts() -> None:
    class Broken(MemoryStore):
        broken = False

        def leases(self, prefix: str):  # type: ignore[no-untyped-def]
            if self.broken:
                raise StoreUnavailable("away")
            return super().leases(prefix)

        def hooks(self, keys=None, kind=None):  # type: ignore[no-untyped-def]
            if self.broken:
                raise StoreUnavailable("away")
            return super().hooks(keys, kind)

    clock, store = Clock(), Broken()
    store.lease("nodes/n1", "n1", 60, f'{{"url": "{url(1)}"}}')
    gateways = Gateways(store, signing=True, clock=clock)
    known = gateways.choose("acme", "")

    store.broken = True
    clock.now += 60

    assert gateways.choose("acme", "") == known
    assert gateways.choose("other", "") == known


def test_a_lease_that_tells_nothing_useful_is_left_out() -> None:
    store = store_with(1)
    store.lease("nodes/odd", "odd", 60, "{}")
    store.lease("nodes/worse", "worse", 60, '{"url": 7}')

    assert Gateways(store, signing=True).choose("acme", "") == Choice((f"{url(0)}/hooks",))


def with_app(store: MemoryStore, *accounts: str, is_open: bool = False) -> MemoryStore:
    """`store` with an app that listens to `accounts`."""
    store.lease("nodes/app", "app", 60, f'{{"url": "{url(8)}", "role": "app", "open": {str(is_open).lower()}}}')
    for account in accounts:
        Registry(store).register({"account_id": account}, f"{url(8)}/hooks", "gateway", "app")
    return store


def test_an_app_is_first_for_the_accounts_that_it_listens_to_and_takes_no_others() -> None:
    gateways = Gateways(with_app(store_with(2), "acme"), signing=True)

    assert gateways.choose("acme", "t").urls[0] == f"{url(8)}/hooks"
    assert len(gateways.choose("acme", "t").urls) == 3
    assert f"{url(8)}/hooks" not in gateways.choose("other", "t").urls
    assert f"{url(8)}/hooks" not in gateways.choose("", "t").urls


def test_an_app_that_may_not_be_talked_to_bars_only_its_own_accounts() -> None:
    gateways = Gateways(with_app(MemoryStore(), "acme"), signing=False)

    assert gateways.choose("other", "t") == Choice()
    assert gateways.choose("acme", "t") == Choice((), refused=1)


def test_whoever_collects_for_the_journal_is_known_with_its_key() -> None:
    store, clock = store_with(1), Clock()
    store.lease("nodes/n1", "n1", 60, '{"url": "http://a", "journal": "ipc:///run/n1.journal"}')
    store.lease("nodes/n2", "n2", 60, '{"url": "http://b", "journal": "tcp://10.0.0.2:7702", "key": "public"}')
    store.lease("nodes/n3", "n3", 60, '{"url": "http://c", "journal": 7}')
    gateways = Gateways(store, signing=False, clock=clock)

    assert gateways.collectors() == [Address("ipc:///run/n1.journal"), Address("tcp://10.0.0.2:7702", "public")]

    store.lease("nodes/n1", "n1", 60, '{"url": "http://a"}')
    clock.now += FRESH
    assert gateways.collectors() == [Address("tcp://10.0.0.2:7702", "public")]
