"""A gateway of a fault run: only what is set from outside, so that a reload finds a file to read."""

import os

from gateway.node import Node
from gateway.runtime import with_defaults
from gateway.settings import NodeSettings

engine = "asyncio"
settings = NodeSettings


def service(settings: NodeSettings) -> Node:
    """What runs."""
    return Node(with_defaults(settings, os.environ))
