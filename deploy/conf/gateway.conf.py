"""One gateway, on the store and with the secret that `skyhooks up` and `skyhooks worker` on this machine use too.

skyhooks start deploy/conf/gateway.conf.py
"""

import os

from gateway.node import Node
from gateway.runtime import with_defaults
from gateway.settings import NodeSettings
from skyhooks.cli.state import State, default_folder

engine = "asyncio"
settings = NodeSettings

_place = State(default_folder(os.environ))
_place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

listen = "127.0.0.1:8080"
node_id = "node-1"
secret = _place.secret()
bridges = ["numbers=numbers://127.0.0.1:7000"]


def service(settings: NodeSettings) -> Node:
    """What runs."""
    return Node(with_defaults(settings, os.environ))
