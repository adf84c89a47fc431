"""What schemathesis is told before it runs: answers without end are read up to their first words.

Loaded by schemathesis itself (``SCHEMATHESIS_HOOKS``). Nothing of an answer is changed: its head is as it came, and its
body ends where the test stops to read.
"""

from io import BytesIO
from typing import Any

import requests
import schemathesis
from urllib3 import HTTPResponse

ENDLESS = ("application/x-ndjson", "text/event-stream", "text/html", "multipart/x-mixed-replace")
CHUNK = 65536


def first_words(response: requests.Response, **options: Any) -> requests.Response:
    """Replace a body without end by what comes of it first."""
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    if kind in ENDLESS and "Content-Length" not in response.headers and response.request.method == "GET":
        raw = response.raw
        # The raw forms begin with the first publication, which may never come.
        first = b"" if "raw" in (response.request.url or "") else raw.read1(CHUNK)
        raw.close()
        response.raw = HTTPResponse(BytesIO(first), raw.headers, raw.status, preload_content=False)
    return response


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Have every answer read so."""
    kwargs["hooks"] = {"response": first_words}


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Spell the counter of a task mark as workers do: 2, where JSON Schema has 2.0 for the same number."""
    mark = body.get("task") if isinstance(body, dict) else None
    if isinstance(mark, dict) and isinstance(mark.get("retries"), float) and mark["retries"].is_integer():
        return {**body, "task": {**mark, "retries": int(mark["retries"])}}
    return body


schemathesis.serializer.alias("application/x-ndjson", "text/plain")
