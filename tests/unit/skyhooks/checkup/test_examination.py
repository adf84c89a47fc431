"""The checks as a whole: sound systems pass them, every mistake has a name, a fix, and a test that plants it."""

from pathlib import Path

from celery import Celery

from skyhooks import brokers
from skyhooks.checkup import CHECKS, Mistake, Subject, examine
from tests.unit.skyhooks.checkup.planting import environment, gateway

TESTS = Path(__file__).parent
MISTAKES: tuple[Mistake, ...] = tuple(mistake for check in CHECKS for mistake in check.mistakes)


def test_a_sound_system_passes_without_a_warning(tmp_path: Path) -> None:
    env = environment(tmp_path)
    url = f"file://{tmp_path}/broker"
    shop = Celery("shop", set_as_current=False)
    shop.conf.result_backend = "skyhooks"
    brokers.configure(shop, url)
    brokers.prepare(url)
    with gateway(env) as address:
        findings = list(examine(Subject(env, shop, urls=[address])))
    assert {finding.level for finding in findings} == {"ok"}, findings
    assert len(findings) >= len(CHECKS) - 1


def test_mistakes_have_names_of_their_own() -> None:
    names = [mistake.name for mistake in MISTAKES]
    assert len(names) == len(set(names)) >= 30


def test_every_mistake_says_what_it_is_and_what_to_do() -> None:
    assert [one.name for one in MISTAKES if not one.meaning.endswith(".") or len(one.fix) < 10] == []


def test_every_mistake_is_planted_by_a_test() -> None:
    tests = "".join(path.read_text() for path in TESTS.glob("test_*.py"))
    assert [mistake.name for mistake in MISTAKES if f'"{mistake.name}"' not in tests] == []
