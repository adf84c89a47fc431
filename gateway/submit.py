"""Submitting Celery tasks from a gateway: by name, in threads, so that a broker that is slow never holds up the loop.

The task's id is drawn before it is sent, and the account's position is read before it is sent: whoever subscribes
from the positions in the answer misses nothing, however fast the worker is.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import structlog
from celery import Celery
from kombu.exceptions import KombuError

from skyhooks import brokers
from skyhooks.accounts import HEADER
from skyhooks.channel import account_channel, task_channel
from skyhooks.errors import Refused, StoreError
from skyhooks.publication import START
from skyhooks.store.base import AsyncStore, Deadline

log = structlog.get_logger()


class Submitted(msgspec.Struct, frozen=True):
    """A task that was handed to the broker.

    `channels` says where its results will appear (``task`` and, with an account, ``account``); `positions` says for
    each channel from where to subscribe to see all of them.
    """

    task_id: str
    channels: dict[str, str]
    positions: dict[str, str]


class Terms(msgspec.Struct, frozen=True):
    """By when a task has to be through, in seconds from its submission.

    `deadline`: to have ended, else the leader publishes its failure (None: the default, 0: never). `expires`: to have
    begun, else no worker begins it and it is published as revoked (None: never).
    """

    deadline: float | None = None
    expires: float | None = None


class Submitter:
    """Sends tasks through `app`, at most `threads` at a time and each for at most `timeout` seconds.

    A task has `deadline` seconds to end unless its `Terms` say otherwise (0: for ever; None: there is nobody who would
    look, and terms with a deadline are refused). That one has expired is left to workers for `grace` seconds.
    """

    def __init__(
        self,
        app: Celery,
        store: AsyncStore,
        *,
        timeout: float = 5.0,
        threads: int = 4,
        deadline: float | None = 0.0,
        grace: float = 5.0,
        draw_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._app = app
        self._store = store
        self._timeout = timeout
        self._deadline = deadline
        self._grace = grace
        self._draw_id = draw_id
        self._threads = ThreadPoolExecutor(threads, "submit")

    async def submit(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        account: str | None,
        terms: Terms = Terms(),  # noqa: B008  # frozen
    ) -> Submitted:
        """Hand one task to the broker; `account` is a checked name.

        Raises `Refused` (503, ``broker_unavailable``) when the broker does not take it in time, or (422,
        ``no_deadlines``) for terms that nobody would see to; and `StoreUnavailable`, before anything was sent, when the
        account's position cannot be read or a deadline not stored.
        """
        task_id = self._draw_id()
        channels = {"task": task_channel(task_id)}
        positions = {channels["task"]: str(START)}
        headers = {}
        if account is not None:
            channels["account"] = account_channel(account)
            head = await self._store.head(channels["account"])
            positions[channels["account"]] = str(head.position if head else START)
            headers[HEADER] = account
        deadlines = self._deadlines(task_id, name, account or "", terms)
        if deadlines:
            # Before it is sent: a task whose deadline nobody knows could be waited for in vain.
            await self._store.add_deadlines(deadlines)
        options = {"headers": headers} if terms.expires is None else {"headers": headers, "expires": terms.expires}
        try:
            await self._send(name, list(args), dict(kwargs), task_id, options)
        except _NotSent as error:
            if deadlines:
                with suppress(StoreError):  # then the leader ends a task of which nobody was told
                    await self._store.settle_deadlines(deadlines)
            raise error.refusal from error
        return Submitted(task_id, channels, positions)

    async def close(self) -> None:
        """Stop: what still waits for a thread is not sent, and threads that the broker holds end by their time-outs."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._app.close)

    def _deadlines(self, task_id: str, task: str, account: str, terms: Terms) -> list[Deadline]:
        """What the leader has to look at later."""
        if self._deadline is None:
            if terms.deadline:
                raise Refused("no_deadlines", "without a log nobody can tell whether a task has ended in time", 422)
            return []
        due = partial(Deadline, task_id=task_id, task=task, account=account)
        seconds = self._deadline if terms.deadline is None else terms.deadline
        found = [due(reason="deadline", seconds=seconds)] if seconds else []
        if terms.expires is not None:
            found.append(due(reason="expired", seconds=terms.expires + self._grace))
        return found

    async def _send(
        self, name: str, args: list[Any], kwargs: dict[str, Any], task_id: str, options: Mapping[str, Any]
    ) -> None:
        """Raises `_NotSent` when the broker has not got it for sure, `Refused` when it may have."""
        send = partial(self._app.send_task, name, args, kwargs, task_id=task_id, **options)
        sending = asyncio.get_running_loop().run_in_executor(self._threads, send)
        try:
            await asyncio.wait_for(sending, self._timeout)
        except TimeoutError as error:
            log.warning("broker_slow", task=name, task_id=task_id, seconds=self._timeout)
            raise _unavailable(
                f"did not answer within {self._timeout:g} seconds; task {task_id} may have reached it all the same"
            ) from error
        except (KombuError, OSError) as error:
            log.warning("broker_unavailable", task=name, task_id=task_id, error=str(error))
            raise _NotSent(_unavailable("cannot be reached, and the task was not submitted")) from error


def make_sender(broker_url: str, *, timeout: float = 5.0) -> Celery:
    """A Celery app that only sends to a broker (see `skyhooks.brokers`), and gives up on it within `timeout` seconds.

    By default a publisher retries for as long as the broker is away, which would fill the threads with waiters.
    Raises `SettingsError` for the URL of an embedded broker that cannot be one.
    """
    once = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
    waits = {"read_timeout": timeout, "write_timeout": timeout, "socket_timeout": timeout}
    app = Celery("skyhooks-gateway", set_as_current=False)
    brokers.configure(app, broker_url)
    app.conf.update(
        task_publish_retry=True,
        task_publish_retry_policy=once,
        broker_connection_timeout=timeout / 2,
        broker_transport_options={**app.conf.broker_transport_options, **once, **waits},
    )
    return app


class _NotSent(Exception):
    def __init__(self, refusal: Refused) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def _unavailable(what: str) -> Refused:
    return Refused("broker_unavailable", f"the task broker {what}", 503, {"Retry-After": "5"})
