"""Several threads on one store."""

from concurrent.futures import ThreadPoolExecutor

from skyhooks.publication import Outcome
from skyhooks.store.base import Lease, Store
from tests.contract.drafts import ACME, draft

THREADS = 4
EACH = 60


def test_concurrent_appenders_share_one_history(store: Store) -> None:
    def run(thread: int) -> list[Outcome]:
        return [
            outcome
            for n in range(0, EACH, 3)
            for outcome in store.append([draft(f"{thread}-{n + i}", f"tasks/{thread}", ACME) for i in range(3)])
        ]

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = [outcome for part in pool.map(run, range(THREADS)) for outcome in part]
    assert {outcome.status for outcome in outcomes} == {"stored"}
    assert sorted(outcome.positions[ACME].offset for outcome in outcomes) == list(range(1, THREADS * EACH + 1))
    assert len({outcome.positions[ACME].epoch for outcome in outcomes}) == 1
    for thread in range(THREADS):
        page = store.read(f"tasks/{thread}", 0)
        assert [publication.id for publication in page.publications] == [f"{thread}-{n}" for n in range(EACH)]


def test_one_id_appended_by_all_is_stored_once(store: Store) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(lambda n: store.append([draft(f"p{n // THREADS}")])[0], range(THREADS * EACH)))
    assert sum(outcome.status == "stored" for outcome in outcomes) == EACH
    head = store.head(ACME)
    assert head is not None
    assert head.offset == EACH
    for n in range(EACH):
        assert len({outcomes[n * THREADS + i].positions[ACME] for i in range(THREADS)}) == 1


def test_one_of_many_gets_a_lease(store: Store) -> None:
    def take(holder: str) -> Lease | None:
        return store.lease("leader", holder, 60)

    with ThreadPoolExecutor(THREADS) as pool:
        taken = [lease for lease in pool.map(take, map(str, range(32))) if lease]
    assert len(taken) == 1
    assert taken == store.leases("leader")


def test_a_reader_sees_contiguous_pages_while_others_append(store: Store) -> None:
    def run(thread: int) -> None:
        for n in range(EACH):
            store.append([draft(f"{thread}-{n}")])

    seen: list[int] = []
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(run, thread) for thread in range(THREADS)]
        while len(seen) < THREADS * EACH:
            if all(one.done() for one in running):
                for one in running:
                    one.result()
            page = store.read(ACME, len(seen), limit=7)
            assert page.after == len(seen)
            seen += [publication.offset for publication in page.publications]
    assert seen == list(range(1, THREADS * EACH + 1))


def test_following_the_news_misses_nothing(store: Store) -> None:
    def run(thread: int) -> None:
        for n in range(EACH):
            store.append([draft("p", f"accounts/{thread}-{n}")])

    mark = store.news(None).mark
    told: set[str] = set()
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(run, thread) for thread in range(THREADS)]
        while not all(one.done() for one in running):
            news = store.news(mark)
            told |= set(news.heads)
            mark = news.mark
    told |= set(store.news(mark).heads)
    assert told == {f"accounts/{thread}-{n}" for thread in range(THREADS) for n in range(EACH)}
