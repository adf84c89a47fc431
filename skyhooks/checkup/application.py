# mypy: disable-error-code="no-untyped-call"
"""The Celery app: is its result backend ours, and do its settings lose nothing."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from celery import Celery
from celery.app.utils import find_app

from skyhooks.checkup.finding import Finding, Mistake, check, good
from skyhooks.checkup.subject import Subject

MOST_NAMES: Final = 3
"""Tasks that a line names."""
UNSAFE: Final = ("pickle", "yaml", "application/x-python-serialize", "application/x-yaml")
"""Serializers by which whoever writes a message has the reader run code."""

APP_NOT_LOADED: Final = Mistake(
    "app_not_loaded",
    "fail",
    "the Celery app cannot be imported, or the modules of its tasks cannot.",
    "name it as celery -A does, from the folder that holds it, and mend what the line says",
)
OTHER_BACKEND: Final = Mistake(
    "other_backend",
    "fail",
    "the app's result backend is not skyhooks, so nothing reaches subscribers.",
    "set result_backend = 'skyhooks'",
)
BAD_SETTING: Final = Mistake(
    "bad_setting",
    "fail",
    "a setting of the Celery side has a value that cannot be used; a worker would not start.",
    "correct it; docs/settings.md lists what each one takes",
)
STARTED_UNTOLD: Final = Mistake(
    "started_untold",
    "warn",
    "task_track_started is off: subscribers do not hear when a task begins.",
    "set task_track_started = True, and leave track_started out of the tasks",
)
EARLY_ACKS: Final = Mistake(
    "early_acks",
    "warn",
    "task_acks_late is off: a task whose worker is killed is lost, and its subscribers wait for ever.",
    "set task_acks_late = True, and leave acks_late out of the tasks, except those that must not run twice",
)
LOST_WORKER_ACKED: Final = Mistake(
    "lost_worker_acked",
    "warn",
    "task_reject_on_worker_lost is off: a task whose pool process is killed does not run again.",
    "set task_reject_on_worker_lost = True, and leave reject_on_worker_lost out of the tasks",
)
EAGER: Final = Mistake(
    "eager_tasks",
    "warn",
    "task_always_eager is on: tasks run in the process that submits them, and publish nothing.",
    "set task_always_eager = False outside tests",
)
PICKLE: Final = Mistake(
    "pickle",
    "warn",
    "tasks or results may be pickles (or YAML): whoever can write to the broker or the store runs code in your "
    "processes.",
    "set task_serializer, result_serializer and event_serializer to 'json', and accept_content = ['json']",
)


def load(name: str) -> tuple[Celery | None, str]:
    """The app that ``celery -A`` would find, or None and why not."""
    try:
        return find_app(name), ""
    except Exception as error:  # whatever an app of somebody else raises while it is imported
        return None, f"app: {name} cannot be loaded ({type(error).__name__}: {error})"


@check(BAD_SETTING)
def settings(subject: Subject) -> Iterator[Finding]:
    """Whether the settings of the Celery side can be used, from the app's configuration and the environment."""
    if subject.settings_error:
        yield BAD_SETTING.found(f"settings: {subject.settings_error}")


@check(APP_NOT_LOADED, OTHER_BACKEND, EAGER, PICKLE, STARTED_UNTOLD, EARLY_ACKS, LOST_WORKER_ACKED)
def application(subject: Subject) -> Iterator[Finding]:
    """Whether a Celery app takes its results to skyhooks, and is set up so that none is lost."""
    if subject.app is None:
        return
    yield from _tasks_import(subject.app)
    yield from _backend(subject)
    conf = subject.conf
    if conf.task_always_eager:
        yield EAGER.found("app: task_always_eager is on")
    yield from _pickles(conf)
    tasks = own_tasks(subject.app)
    yield _setting(STARTED_UNTOLD, "task_track_started", conf, tasks, lambda task: task.track_started)
    yield _setting(EARLY_ACKS, "task_acks_late", conf, tasks, lambda task: task.acks_late)
    yield _setting(
        LOST_WORKER_ACKED, "task_reject_on_worker_lost", conf, tasks, lambda task: task.reject_on_worker_lost
    )


def own_tasks(app: Celery) -> list[Any]:
    """The app's tasks, Celery's own aside, by name."""
    return [task for name, task in sorted(app.tasks.items()) if not name.startswith("celery.")]


def _tasks_import(app: Celery) -> Iterator[Finding]:
    try:
        app.loader.import_default_modules()
        app.finalize()
    except Exception as error:  # whatever a module of somebody else raises
        yield APP_NOT_LOADED.found(f"app: its tasks cannot be imported ({type(error).__name__}: {error})")


def _backend(subject: Subject) -> Iterator[Finding]:
    if subject.backend_error:
        given = subject.backend or "none"
        yield OTHER_BACKEND.found(f"app: its result backend is {given!r}, not 'skyhooks' ({subject.backend_error})")
    else:
        yield good(f"app: its result backend is {subject.backend!r}, on {subject.shown_store}")


def _pickles(conf: Any) -> Iterator[Finding]:
    names = ("task_serializer", "result_serializer", "event_serializer", "accept_content", "result_accept_content")
    found = [name for name in names if _unsafe(getattr(conf, name))]
    if found:
        given = ", ".join(f"{name} = {getattr(conf, name)!r}" for name in found)
        yield PICKLE.found(f"app: {given}")


def _unsafe(value: object) -> bool:
    return any(name in UNSAFE for name in ([value] if isinstance(value, str) else _iterated(value)))


def _iterated(value: object) -> Iterable[object]:
    return value if isinstance(value, Iterable) else ()


def _setting(mistake: Mistake, name: str, conf: Any, tasks: list[Any], is_on: Callable[[Any], Any]) -> Finding:
    """A setting that should be on, and no task says otherwise."""
    if not getattr(conf, name):
        return mistake.found(f"app: {name} is off")
    if off := [task.name for task in tasks if not is_on(task)]:
        more = f" and {len(off) - MOST_NAMES} more" if len(off) > MOST_NAMES else ""
        return mistake.found(f"app: {name} is on, but not for {', '.join(off[:MOST_NAMES])}{more}")
    return good(f"app: {name} is on")
