"""A Twisted web server that hears the results of one account."""

import argparse
import json
import os
import sys

from twisted.internet import defer, reactor
from twisted.python import log
from twisted.web.resource import Resource
from twisted.web.server import Site

from skyhooks.adapters.twisted import Container, WebhookResource
from skyhooks.store import default_url, open_store

heard = []


def on_result(data, position):
    heard.append(data)
    print(json.dumps({"position": position, "data": data}), flush=True)


class Heard(Resource):
    def render_GET(self, request):
        request.setHeader("Content-Type", "application/json")
        return json.dumps({"heard": heard}).encode()


async def main(account, port):
    container = Container(
        open_store(default_url(os.environ)),
        reactor,
        url=f"http://127.0.0.1:{port}/skyhooks",
        secret=os.environ.get("SKYHOOKS_SECRET", ""),
    )
    root = Resource()
    root.putChild(b"", Heard())
    root.putChild(b"skyhooks", WebhookResource(container))
    reactor.listenTCP(port, Site(root), interface="127.0.0.1")
    container.start()
    reactor.addSystemEventTrigger("before", "shutdown", container.stop)
    await container.register({"account_id": account}, on_result, with_position=True)
    print(f"listening to account {account}; what it has heard is at http://127.0.0.1:{port}/", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--account", default="demo")
    parser.add_argument("--port", type=int, default=8888)
    options = parser.parse_args()
    log.startLogging(sys.stderr, setStdout=False)
    reactor.callWhenRunning(lambda: defer.ensureDeferred(main(options.account, options.port)))
    reactor.run()
