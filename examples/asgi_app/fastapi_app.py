"""A FastAPI application that hears the results of one account."""

import argparse
import json
import os
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from skyhooks.adapters.asgi import Container, WebhookApp
from skyhooks.store import default_url, open_store


def make_app(account, port):
    heard = []
    container = Container(
        open_store(default_url(os.environ)),
        url=f"http://127.0.0.1:{port}/skyhooks",
        secret=os.environ.get("SKYHOOKS_SECRET", ""),
    )

    async def on_result(data, position):
        heard.append(data)
        print(json.dumps({"position": position, "data": data}), flush=True)

    @asynccontextmanager
    async def lifespan(app):
        async with container:
            await container.register({"account_id": account}, on_result, with_position=True)
            print(f"listening to account {account}; what it has heard is at http://127.0.0.1:{port}/", flush=True)
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/skyhooks", WebhookApp(container))

    @app.get("/")
    async def what_was_heard():
        return {"heard": heard}

    @app.post("/say")
    async def say(text: str):
        """Publish something for the account, to everyone who listens to it anywhere."""
        return await container.notify({"account_id": account}, {"text": text})

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--account", default="demo")
    parser.add_argument("--port", type=int, default=8888)
    options = parser.parse_args()
    uvicorn.run(make_app(options.account, options.port), host="127.0.0.1", port=options.port)
