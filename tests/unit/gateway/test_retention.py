import asyncio

from gateway.retention import Retainer
from skyhooks.channel import Namespace, Retention
from skyhooks.store.memory import MemoryStore
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.stores import Switched, draft, until


async def test_results_whose_time_has_passed_go_however_many_they_are() -> None:
    now = [0.0]
    store = MemoryStore(clock=lambda: now[0])
    for number in range(1200):
        store.put_result(f"task:{number}", b"x", 10.0)
    now[0] = 100.0
    task = asyncio.create_task(Retainer(ThreadedStore(store), [], pause=0.01).run())
    await until(lambda: not store._results)
    task.cancel()


async def test_what_is_beyond_the_limits_goes_however_much_it_is() -> None:
    store = Switched()
    store.append([draft(f"p{number}") for number in range(1300)])
    namespaces = [Namespace(name="accounts", durable=True, retention=Retention(count=10))]
    task = asyncio.create_task(Retainer(ThreadedStore(store), namespaces, pause=0.01).run())
    await until(lambda: store.read("accounts/a", 0).after == 1290)
    task.cancel()
    assert len(store.read("accounts/a", 0).publications) == 10
