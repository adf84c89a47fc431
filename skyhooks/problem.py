"""How a refusal is written for HTTP: problem+json (RFC 9457) with a stable code."""

from typing import Final

import msgspec

from skyhooks.errors import Refused

PROBLEM: Final = "application/problem+json"


def problem_of(error: Refused) -> dict[str, str | int]:
    """What a client is told of a refusal: type, title, status, code and detail."""
    return {
        "type": f"urn:skyhooks:problem:{error.code}",
        "title": error.code.replace("_", " "),
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
    }


def problem_body(error: Refused) -> bytes:
    """The body of the answer to a refused request."""
    return msgspec.json.encode(problem_of(error))
