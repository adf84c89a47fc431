"""Ids and marks: the same thing twice has one id, two executions have two."""

from celery.app.task import Context

from skyhooks.publication import TaskMark
from skyhooks.task_run import GENERATION, begin, mark_of, publication_id, run_of


def test_the_end_of_a_task_has_one_id_for_all_its_executions() -> None:
    first, second = Context(id="t"), Context(id="t")
    begin(first, 0.0)
    begin(second, 0.0)

    assert publication_id("t", "SUCCESS", first) == publication_id("t", "FAILURE", second) == "t:end"
    assert publication_id("t", "REVOKED", None) == "t:end"


def test_progress_of_two_executions_with_the_same_retries_never_has_one_id() -> None:
    first, second = Context(id="t", retries=1), Context(id="t", retries=1)
    begin(first, 0.0)
    begin(second, 0.0)

    ids = [publication_id("t", "PROGRESS", request) for request in (first, first, second, second)]

    assert len(set(ids)) == 4
    assert ids[0].rpartition(":")[0] == ids[1].rpartition(":")[0]


def test_a_retry_reported_twice_has_one_id() -> None:
    assert publication_id("t", "RETRY", Context(retries=2)) == publication_id("t", "RETRY", Context(retries=2))
    assert publication_id("t", "RETRY", Context(retries=2)) == "t:2:retry"


def test_a_replacement_is_newer_than_every_retry_of_what_it_replaces() -> None:
    replaced = Context(retries=7)
    replacement = Context(retries=0, replaced_task_nesting=1)

    assert mark_of("FAILURE", replacement).retries == GENERATION > mark_of("FAILURE", replaced).retries
    assert publication_id("t", "RETRY", replacement) != publication_id("t", "RETRY", Context(retries=0))


def test_the_mark_names_the_execution_where_it_is_known() -> None:
    request = Context(retries=1)
    run = begin(request, 5.0)

    assert run_of(request) is run
    assert run.began == 5.0
    assert mark_of("STARTED", request) == TaskMark(run.nonce, 1, "STARTED")
    assert mark_of("FAILURE", None) == TaskMark("", 0, "FAILURE")


def test_a_state_set_from_outside_gets_an_id_of_its_own() -> None:
    assert publication_id("t", "PROGRESS", None) != publication_id("t", "PROGRESS", None)
