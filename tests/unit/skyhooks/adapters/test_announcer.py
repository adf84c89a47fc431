"""An app is in the registry as long as it runs, for the accounts that have callbacks in it, and as an app."""

import threading

import msgspec
import pytest

from skyhooks.adapters.announcer import Announcer
from skyhooks.errors import StoreUnavailable
from skyhooks.gateways import Gateways
from tests.processes import eventually
from tests.unit.skyhooks.adapters.exchange import URL, Switched


class Bench:
    def __init__(self) -> None:
        self.store = Switched()
        self.now = 0.0
        self.listened: set[str] = set()
        self.announcer = Announcer(
            self.store,
            "app-1",
            URL,
            lambda: self.listened,
            is_open=False,
            ttl=10.0,
            linger=30.0,
            clock=lambda: self.now,
        )

    def accounts(self) -> set[str]:
        return {hook.keys["account_id"] for hook in self.store.hooks()}


def test_the_lease_says_where_the_app_is_and_that_it_is_one() -> None:
    bench = Bench()
    bench.announcer.renew()
    (lease,) = bench.store.leases("nodes/")
    assert (lease.name, lease.holder) == ("nodes/app-1", "app-1")
    assert msgspec.json.decode(lease.info) == {"url": URL, "open": False, "role": "app"}


def test_workers_bring_it_what_it_listens_to_and_nothing_else() -> None:
    bench = Bench()
    bench.listened = {"accounts/acme", "tasks/t"}
    bench.announcer.renew()
    assert bench.accounts() == {"acme"}
    gateways = Gateways(bench.store, signing=True)
    assert gateways.choose("acme", "t").urls == (f"{URL}/hooks",)
    assert gateways.choose("other", "t").urls == ()


def test_an_account_stays_registered_for_a_while_and_coming_back_writes_nothing() -> None:
    bench = Bench()
    bench.listened = {"accounts/acme"}
    bench.announcer.renew()
    hooks = bench.store.hooks()
    bench.listened = set()
    bench.now = 29.0
    bench.announcer.renew()
    assert bench.store.hooks() == hooks
    bench.listened = {"accounts/acme"}
    bench.announcer.renew()
    bench.listened = set()
    bench.now = 58.0
    bench.announcer.renew()
    assert bench.store.hooks() == hooks
    bench.now = 59.0
    bench.announcer.renew()
    assert bench.store.hooks() == []


def test_withdrawing_leaves_nothing_behind() -> None:
    bench = Bench()
    bench.listened = {"accounts/acme"}
    bench.announcer.renew()
    bench.announcer.withdraw()
    assert (bench.store.leases("nodes/"), bench.store.hooks()) == ([], [])
    assert all(not bench.store.remove_hook(hook.id) for hook in bench.announcer._hooks.values())


def test_an_id_that_somebody_else_has_is_left_to_them() -> None:
    bench = Bench()
    bench.store.lease("nodes/app-1", "somebody", 60.0)
    bench.announcer.renew()
    assert bench.store.leases("nodes/")[0].holder == "somebody"
    bench.announcer.withdraw()
    assert bench.store.leases("nodes/")[0].holder == "somebody"


def test_it_renews_through_an_outage_and_registers_a_new_account_at_once() -> None:
    bench = Bench()
    thread = threading.Thread(target=bench.announcer.run, daemon=True)
    thread.start()
    eventually(lambda: bench.store.leased == 1)
    bench.store.away = True
    with pytest.raises(StoreUnavailable):
        bench.announcer.renew()
    bench.store.away = False
    # Far sooner than a third of the lease.
    bench.listened = {"accounts/acme"}
    bench.announcer.listening("accounts/acme")
    eventually(lambda: bench.accounts() == {"acme"}, within=2.0)
    leased = bench.store.leased
    bench.announcer.listening("accounts/acme")
    bench.announcer.listening("tasks/t")
    bench.announcer.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert (bench.store.leases("nodes/"), bench.store.hooks()) == ([], [])
    assert bench.store.leased - leased <= 1
