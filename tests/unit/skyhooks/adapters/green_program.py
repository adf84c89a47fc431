"""A gevent program for the tests: ``python -m … <store url> <secret>``. It says where it listens and what it hears."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from skyhooks.adapters.gevent import Container, WebhookMiddleware  # noqa: E402
from skyhooks.store import open_store  # noqa: E402
from tests.unit.skyhooks.adapters.exchange import LIMITS  # noqa: E402


def say(*words: object) -> None:
    print(*words, flush=True)


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"app"]


def stuck(data: object) -> None:
    say("stuck", data)
    gevent.sleep(3600)


async def wrong(data: object) -> None:
    say("never", data)


def main(store_url: str, secret: str) -> None:
    server = WSGIServer(("127.0.0.1", 0), None, log=None)
    server.init_socket()
    mount = f"http://127.0.0.1:{server.server_port}/skyhooks"
    container = Container(open_store(store_url), url=mount, secret=secret, limits=LIMITS)
    server.set_environ({})
    server.application = WebhookMiddleware(app, container)
    server.start()
    container.start()
    container.register({"account_id": "acme"}, stuck)
    container.register({"account_id": "acme"}, lambda data: say("heard", data))
    failing = container.register({"account_id": "acme"}, wrong)
    say("notified", container.notify({"account_id": "acme"}, 0)["notified"])
    while not failing.failures:
        gevent.sleep(0.01)
    say("failures", failing.failures)
    say("listening", mount)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
