"""``/api/hooks``: the registry over HTTP.

Hooks of the gateway kind are shown, but made by gateways only: they live with a node's lease.
"""

from typing import Literal

import msgspec

from gateway.api.handler import ApiHandler
from skyhooks.errors import Refused
from skyhooks.registry import hook_keys, hook_of


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a registration: whose results go to which URL."""

    keys: dict[str, str | int | float]
    url: str
    kind: Literal["endpoint"] = "endpoint"


_registration = msgspec.json.Decoder(Registration)


class HooksHandler(ApiHandler):
    """``GET`` and ``POST /api/hooks``."""

    async def get(self) -> None:
        """List the hooks, oldest first; with ``?account_id=`` those that hear of this account."""
        asked = self.query(("account_id",))
        keys = hook_keys(asked) if asked else None
        self.answer({"hooks": await self.control.hooks(keys)})

    head = get

    async def post(self) -> None:
        """Register an endpoint: 201 with the hook. The same registration again gives the same hook."""
        self.query(())
        asked = self.body(_registration, '{"keys": {"account_id": "acme"}, "url": "https://…", "kind": "endpoint"}')
        hook = await self.control.add_hook(hook_of(asked.keys, asked.url, asked.kind))
        self.set_header("Location", f"/api/hooks/{hook.id}")
        self.answer(hook, 201)


class HookHandler(ApiHandler):
    """``DELETE /api/hooks/<id>``."""

    async def delete(self, hook_id: str) -> None:
        """Remove a hook: 204, or 404 (``unknown_hook``)."""
        self.query(())
        if not await self.control.remove_hook(hook_id):
            raise Refused("unknown_hook", f"there is no hook {hook_id[:80]!r}", 404)
        self.set_status(204)
        await self.finish()
