"""A Tornado application that hears the results of one account, and keeps its place while it is not running."""

import argparse
import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path

from tornado.log import enable_pretty_logging
from tornado.web import Application, RequestHandler

from skyhooks.adapters.tornado import Container, WebhookHandler, routes
from skyhooks.store import default_url, open_store


class CountingHandler(WebhookHandler):
    """Takes what workers post, and counts it."""

    taken = 0

    def answered(self, answer):
        if answer.status == 200:
            type(self).taken += 1


class HeardHandler(RequestHandler):
    def initialize(self, heard):
        self.heard = heard

    def get(self):
        self.write({"heard": self.heard, "requests_from_workers": CountingHandler.taken})


async def main(account, port, place):
    heard = []

    def on_result(data, position):
        heard.append(data)
        print(json.dumps({"position": position, "data": data}), flush=True)
        place.write_text(position)  # dealt with: after a restart this one does not come again

    container = Container(
        open_store(default_url(os.environ)),
        url=f"http://127.0.0.1:{port}/skyhooks",
        secret=os.environ.get("SKYHOOKS_SECRET", ""),
    )
    rules = [*routes(container, "/skyhooks", CountingHandler), ("/", HeardHandler, {"heard": heard})]
    Application(rules).listen(port, "127.0.0.1")
    async with container:
        since = place.read_text() if place.exists() else None
        await container.register({"account_id": account}, on_result, since=since, with_position=True)
        print(f"listening to account {account}; what it has heard is at http://127.0.0.1:{port}/", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--account", default="demo")
    parser.add_argument("--port", type=int, default=8888)
    parser.add_argument("--place", type=Path, default=Path("tornado_app.position"), help="file that keeps the position")
    options = parser.parse_args()
    enable_pretty_logging()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(options.account, options.port, options.place))
