"""The dashboard: a page at ``/`` and its files under ``/static/``, all from the folder ``gateway/dashboard/static``."""

from pathlib import Path
from typing import Any, Final

from tornado.web import HTTPError, StaticFileHandler

from gateway.api.handler import Answering
from skyhooks.errors import Refused

FOLDER: Final = Path(__file__).parents[1] / "dashboard" / "static"

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",  # covers the page's own WebSocket too (CSP level 3, section 6.7.2.8)
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The page runs only what this gateway serves, talks only to it, and is shown in no frame."""


class PageFile(Answering, StaticFileHandler):
    """One of the page's files. Browsers keep it and ask each time whether it is still the same (ETag)."""

    def set_extra_headers(self, path: str) -> None:
        """Replace the API's headers where a page needs others."""
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Cache-Control", "no-cache")

    async def get(self, path: str, include_body: bool = True) -> None:
        """Send a file; a path outside the folder does not exist, like any other that does not.

        Raises `Refused` (416, ``bad_range``).
        """
        try:
            await super().get(path, include_body)
        except (HTTPError, ValueError) as error:  # a name with a NUL is a ValueError
            raise HTTPError(404) from error
        if self.get_status() == 416:
            size = self._headers.get("Content-Range", "")
            raise Refused("bad_range", f"the file has no such bytes: {size}", 416, {"Content-Range": size})


def routes() -> list[tuple[str, Any, dict[str, Any]]]:
    """Path, handler and what the handler is given."""
    return [
        (r"/()", PageFile, {"path": str(FOLDER), "default_filename": "index.html"}),
        (r"/static/(.+)", PageFile, {"path": str(FOLDER)}),
    ]
