import inspect

import pytest
from celery import Celery

import workers.tasks
from gateway.api.catalogue import DEMO_TASKS, Catalogue, OfferedTask
from skyhooks.errors import Refused


@pytest.mark.parametrize("offered", DEMO_TASKS, ids=lambda offered: offered.name)
def test_a_demo_task_takes_the_arguments_that_are_offered_with_it(offered: OfferedTask) -> None:
    app = Celery(set_as_current=False)
    app.finalize(auto=True)
    assert offered.name in app.tasks, workers.tasks.__file__
    inspect.signature(app.tasks[offered.name].run).bind(*offered.args, **offered.kwargs)


def test_the_order_is_that_of_the_setting_and_samples_are_added_where_known() -> None:
    known = OfferedTask(name="b", about="Does b.", args=(1,))
    assert Catalogue(["a", "b"], [known]).tasks == (OfferedTask(name="a"), known)


def test_a_name_beside_the_list_is_refused_and_told_the_list() -> None:
    with pytest.raises(Refused, match="submits a, b; got 'c'") as caught:
        Catalogue(["a", "b"]).check("c")
    assert (caught.value.code, caught.value.status) == ("unknown_task", 404)


def test_an_empty_list_offers_nothing() -> None:
    with pytest.raises(Refused, match="submits nothing"):
        Catalogue([]).check("a")
