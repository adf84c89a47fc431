"""A gevent WSGI application that hears the results of one account."""

from gevent import monkey

monkey.patch_all()  # before anything else is imported

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402

import gevent  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from skyhooks.adapters.gevent import Container, WebhookMiddleware  # noqa: E402
from skyhooks.store import default_url, open_store  # noqa: E402

heard = []


def on_result(data, position):
    heard.append(data)
    print(json.dumps({"position": position, "data": data}), flush=True)


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"heard": heard}).encode()]


def main(account, port):
    container = Container(
        open_store(default_url(os.environ)),
        url=f"http://127.0.0.1:{port}/skyhooks",
        secret=os.environ.get("SKYHOOKS_SECRET", ""),
    )
    server = WSGIServer(("127.0.0.1", port), WebhookMiddleware(app, container, "/skyhooks"))
    # A KeyboardInterrupt may be raised in any greenlet, so gevent is asked for the signal instead.
    gevent.signal_handler(signal.SIGINT, server.stop)
    server.start()
    container.start()
    container.register({"account_id": account}, on_result, with_position=True)
    print(f"listening to account {account}; what it has heard is at http://127.0.0.1:{port}/", flush=True)
    server.serve_forever()
    container.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--account", default="demo")
    parser.add_argument("--port", type=int, default=8888)
    main(**vars(parser.parse_args()))
