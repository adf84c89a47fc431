"""A Django project in one file, served over ASGI, that hears the results of one account.

Django has no lifespan, so the middleware around it starts the container and answers workers.
"""

import argparse
import json
import os
import secrets

import django
import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path

from skyhooks.adapters.asgi import Container, WebhookMiddleware
from skyhooks.store import default_url, open_store

heard = []


async def on_result(data, position):
    heard.append(data)
    print(json.dumps({"position": position, "data": data}), flush=True)


async def what_was_heard(request):
    return JsonResponse({"heard": heard})


urlpatterns = [path("", what_was_heard)]


def make_app(account, port):
    settings.configure(
        SECRET_KEY=secrets.token_hex(32), ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"]
    )
    django.setup()
    container = Container(
        open_store(default_url(os.environ)),
        url=f"http://127.0.0.1:{port}/skyhooks",
        secret=os.environ.get("SKYHOOKS_SECRET", ""),
    )

    async def on_start():
        await container.register({"account_id": account}, on_result, with_position=True)
        print(f"listening to account {account}; what it has heard is at http://127.0.0.1:{port}/", flush=True)

    return WebhookMiddleware(get_asgi_application(), container, "/skyhooks", on_start)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--account", default="demo")
    parser.add_argument("--port", type=int, default=8888)
    options = parser.parse_args()
    uvicorn.run(make_app(options.account, options.port), host="127.0.0.1", port=options.port)
