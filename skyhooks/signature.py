"""Signatures of webhooks by the Standard Webhooks scheme (version 1, symmetric).

Signed is ``id.timestamp.body`` with HMAC-SHA256; the header carries one or more ``v1,<base64>`` separated by
spaces, so that a secret can be rotated. Time arrives as an argument.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final

from skyhooks.errors import Refused, SettingsError

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
TOLERANCE: Final = 300
"""Seconds that a timestamp may be away from now, either way."""

_PREFIX = "whsec_"
_MAX_SIGNATURES = 16


class Secret:
    """A signing key, read from ``whsec_`` and the base64 of 24 to 64 random bytes.

    Raises `SettingsError` for anything else; the message never repeats the secret.
    """

    __slots__ = ("_key",)

    def __init__(self, text: str) -> None:
        try:
            self._key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            self._key = b""
        if not text.startswith(_PREFIX) or not 24 <= len(self._key) <= 64:
            raise SettingsError(
                "a secret is whsec_ followed by the base64 of 24 to 64 random bytes; "
                f"got {len(text)} characters that are not. `skyhooks secret` makes one"
            )

    def __repr__(self) -> str:
        return "Secret(…)"

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """The signature of one message, ``v1,<base64>``."""
        # A header may hold what UTF-8 cannot: it then matches nothing, rather than raise.
        signed = f"{message_id}.{timestamp}.".encode("utf-8", "surrogatepass") + body
        return "v1," + base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()


def make_secret(random_bytes: bytes) -> str:
    """The text of a secret made of `random_bytes` (24 to 64 of them)."""
    text = _PREFIX + base64.b64encode(random_bytes).decode()
    Secret(text)
    return text


def parse_secrets(text: str) -> tuple[Secret, ...]:
    """The secrets of a setting: one, or several separated by spaces or commas (the first one signs)."""
    return tuple(Secret(part) for part in text.replace(",", " ").split())


def signed_headers(secrets: Iterable[Secret], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a webhook, signed with each of `secrets`."""
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: " ".join(secret.sign(message_id, timestamp, body) for secret in secrets),
    }


def verify(secrets: Iterable[Secret], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Check a webhook's signature and return its id.

    `headers` have lower-case names. Raises `Refused` with status 401 and code ``unsigned``, ``bad_timestamp``,
    ``stale_timestamp`` or ``bad_signature``. A valid signature is no protection against replay: that is the log's
    idempotence.
    """
    message_id = headers.get(ID_HEADER, "")
    stamp = headers.get(TIMESTAMP_HEADER, "")
    given = headers.get(SIGNATURE_HEADER, "")
    if not (message_id and stamp and given):
        names = f"{ID_HEADER}, {TIMESTAMP_HEADER} and {SIGNATURE_HEADER}"
        raise Refused("unsigned", f"a webhook carries the headers {names}", 401)
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise Refused("bad_timestamp", f"{TIMESTAMP_HEADER} is a count of seconds since 1970; got {stamp[:40]!r}", 401)
    if abs(now - int(stamp)) > TOLERANCE:
        raise Refused(
            "stale_timestamp", f"{TIMESTAMP_HEADER} is more than {TOLERANCE} seconds away from the gateway's clock", 401
        )
    candidates = [part.encode("utf-8", "replace") for part in given.split(" ")[:_MAX_SIGNATURES]]
    expected = [secret.sign(message_id, int(stamp), body).encode() for secret in secrets]
    # Every pair is compared, in constant time, so that timing tells nothing of which one matched.
    matches = [hmac.compare_digest(one, other) for one in candidates for other in expected]
    if not any(matches):
        raise Refused("bad_signature", "no signature in the webhook matches a secret of this gateway", 401)
    return message_id
