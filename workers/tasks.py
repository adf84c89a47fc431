# mypy: disable-error-code="untyped-decorator"
"""Tasks that are worth watching: progress, failure, retries, chains and chords under one account.

They are ordinary Celery tasks; nothing in them knows of skyhooks.
"""

import time
from typing import Any

from celery import chain, chord, shared_task


@shared_task
def add(x: float, y: float) -> float:
    """The sum, at once."""
    return x + y


@shared_task(bind=True)
def countdown(self: Any, total: int = 10, delay: float = 1.0) -> str:
    """Count down from `total`, one every `delay` seconds, and say how far it has come."""
    for current in range(total):
        self.update_state(state="PROGRESS", meta={"current": current, "total": total, "left": total - current})
        time.sleep(delay)
    return "lift-off"


@shared_task(bind=True)
def primes(self: Any, limit: int = 200_000) -> dict[str, int]:
    """Count the primes below `limit` with a sieve, telling of each twentieth part."""
    sieve = bytearray([1]) * max(limit, 2)
    sieve[0:2] = b"\0\0"
    steps = max(1, limit // 20)
    for number in range(limit):
        if number % steps == 0:
            found = sieve.count(1, 0, number)
            self.update_state(state="PROGRESS", meta={"current": number, "total": limit, "found": found})
            time.sleep(0)
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, len(sieve), number)))
    return {"limit": limit, "primes": sieve.count(1)}


@shared_task
def fail(message: str = "this task always fails") -> None:
    """Raise a `ValueError` with `message`."""
    raise ValueError(message)


@shared_task(bind=True)
def flaky(self: Any, failures: int = 2, delay: float = 1.0) -> str:
    """Fail `failures` times, each time trying again after `delay` seconds, then succeed."""
    tried = self.request.retries
    if tried < failures:
        error = ConnectionError(f"attempt {tried + 1} of {failures + 1} found nobody at home")
        raise self.retry(exc=error, countdown=delay, max_retries=failures)
    return f"attempt {tried + 1} got through"


@shared_task(bind=True)
def pipeline(self: Any, text: str = "the way of a result") -> str:
    """Start three steps, one after the other; give the id of the last one. All of them have this task's account."""
    steps = chain(split.s(text), capitalize.s(), join.s())
    return str(steps.apply_async().id)


@shared_task
def split(text: str) -> list[str]:
    """The words of a text."""
    time.sleep(0.5)
    return text.split()


@shared_task
def capitalize(words: list[str]) -> list[str]:
    """Each word with a capital."""
    time.sleep(0.5)
    return [word.capitalize() for word in words]


@shared_task
def join(words: list[str]) -> str:
    """The words as one text."""
    time.sleep(0.5)
    return " ".join(words)


@shared_task
def squares(count: int = 5) -> str:
    """Square `count` numbers side by side and sum them up; give the id of the sum."""
    return str(chord(square.s(number) for number in range(count))(total.s()).id)


@shared_task
def square(number: float) -> float:
    """`number` times itself."""
    return number * number


@shared_task
def total(numbers: list[float]) -> float:
    """The sum of several numbers."""
    return sum(numbers)
