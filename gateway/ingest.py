"""``POST /hooks``: verify, append to the log, answer, by the rules of `skyhooks.intake`."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.edge.request import Request, Response
from skyhooks.errors import StoreUnavailable
from skyhooks.intake import JSON, Intake, unavailable
from skyhooks.publication import Draft, Outcome
from skyhooks.signature import Secret

Append = Callable[[Sequence[Draft]], Awaitable[list[Outcome]]]
Count = Callable[[str], int]


class Ingest:
    """Takes webhooks in.

    With `verify_with`, each must be signed by one of these secrets; without, anyone may post. `subscribers` tells
    how many a channel has on this node. `clock` gives seconds since 1970. A batch holds up to `most` webhooks.
    """

    def __init__(
        self,
        append: Append,
        subscribers: Count,
        *,
        verify_with: tuple[Secret, ...],
        clock: Callable[[], float],
        most: int,
    ) -> None:
        self._append = append
        self._subscribers = subscribers
        self._intake = Intake(verify_with=verify_with, clock=clock, most=most)

    async def __call__(self, request: Request) -> Response:
        """Answer one request. Raises `Refused`."""
        batch = self._intake.read(request.headers, request.body)
        outcomes = await committed(self._append, batch.drafts) if batch.drafts else []
        accepted = batch.answer(outcomes, self._subscribers)
        return Response(headers={"Content-Type": JSON}, body=msgspec.json.encode(accepted))


async def committed(append: Append, drafts: Sequence[Draft]) -> list[Outcome]:
    """Append, or raise the `Refused` (503, ``store_unavailable``) that asks the client to come again."""
    try:
        return await append(drafts)
    except StoreUnavailable as error:
        raise unavailable() from error
