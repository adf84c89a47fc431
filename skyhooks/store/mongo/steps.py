"""What the store asks of a server, apart from how it is asked.

A method of the core is a generator: it yields an `Ask` or a `Pause`, is sent the answer, and returns its result. Errors
of pymongo are thrown in where the answer would have come. Two small drivers perform it, one that blocks and one that
awaits, so that there is no second copy of any rule.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

T = TypeVar("T")

Document: TypeAlias = dict[str, Any]

DATABASE: Final = ""
"""Stands for the database itself, where a collection is named."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A call of `method` on a collection; `many` collects what a cursor gives, as `Found` does."""

    collection: str
    method: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    many: bool = False
    size: int | None = None


class Found:
    """The documents that a cursor has given, up to the one with which `size` bytes of data are exceeded."""

    def __init__(self, size: int | None) -> None:
        self.documents: list[Document] = []
        self._left = size

    def is_enough(self, document: Document) -> bool:
        """Take a document; whether it is the last one wanted."""
        self.documents.append(document)
        if self._left is None:
            return False
        self._left -= len(document["data"])
        return self._left < 0


@dataclass(frozen=True, slots=True)
class Pause:
    """Time to let pass, in seconds."""

    seconds: float


Steps: TypeAlias = Generator[Ask | Pause, Any, T]


class Talk(Generic[T]):
    """Steps on their way: `step` is what to do next, and None once `result` is there.

    What the steps raise comes out of the constructor and of both methods.
    """

    result: T

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.step: Ask | Pause | None = None
        self.answered(None)

    def answered(self, answer: Any) -> None:
        """The step was done, with this answer."""
        self._go(lambda: self._steps.send(answer))

    def failed(self, error: Exception) -> None:
        """The step could not be done."""
        self._go(lambda: self._steps.throw(error))

    def _go(self, on: Callable[[], Ask | Pause]) -> None:
        try:
            self.step = on()
        except StopIteration as end:
            self.step, self.result = None, end.value


def find(collection: str, query: Document, *, size: int | None = None, **options: Any) -> Ask:
    """The documents that match; `size` ends the list with the one that exceeds so many bytes of data."""
    return Ask(collection, "find", (query,), options, many=True, size=size)


def find_one(collection: str, query: Document, **options: Any) -> Ask:
    """The first document that matches, or None."""
    return Ask(collection, "find_one", (query,), options)


def aggregate(collection: str, pipeline: Sequence[Document]) -> Ask:
    """What a pipeline gives."""
    return Ask(collection, "aggregate", (pipeline,), many=True)


def call(collection: str, method: str, *arguments: Any, **options: Any) -> Ask:
    """Any other method of a collection, or of the database."""
    return Ask(collection, method, arguments, options)
