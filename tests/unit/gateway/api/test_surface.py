"""The table of operations names what there is, and nothing else."""

import re
from typing import Any

from tornado.routing import PathMatches
from tornado.web import RequestHandler

from gateway.api.application import make_application
from gateway.api.control import Control
from gateway.api.problems import EDGE, NODE
from gateway.api.surface import operations
from gateway.node import Node
from gateway.settings import NodeSettings

SETTINGS = NodeSettings(listen="127.0.0.1:0", store="memory://", open=True)
OPERATIONS = operations(SETTINGS)
DATA_PLANE = {"/hooks", "/channels/{channel}", "/connect"}


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "x", path)


def offered(handler: type[RequestHandler]) -> set[str]:
    """The methods that a handler class answers, HEAD aside."""
    missing = RequestHandler._unimplemented_method
    names = [name.lower() for name in handler.SUPPORTED_METHODS if name != "HEAD"]
    return {name for name in names if getattr(handler, name) is not missing}


class Anything:
    """What the routes are given does not matter here."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def test_every_route_of_the_control_plane_is_described_with_its_methods(control: Control) -> None:
    routes = make_application(control, cluster=Anything(), journal=Anything()).wildcard_router.rules
    for rule in routes:
        assert isinstance(rule.matcher, PathMatches)
        described = {one.method for one in OPERATIONS if rule.matcher.regex.fullmatch(filled(one.path))}
        if rule.matcher.regex.fullmatch("/"):
            described = {one.method for one in OPERATIONS if one.path == "/"}
        assert described == offered(rule.target), rule.matcher.regex.pattern


def test_everything_that_is_described_is_there(control: Control) -> None:
    routes = make_application(control, cluster=Anything(), journal=Anything()).wildcard_router.rules
    for operation in OPERATIONS:
        if operation.path not in DATA_PLANE:
            assert any(rule.matcher.regex.fullmatch(filled(operation.path)) for rule in routes), operation.path


async def test_the_data_plane_takes_the_methods_that_are_described() -> None:
    node = Node(SETTINGS)
    await node.start()
    try:
        plane = node._plane
        for path in DATA_PLANE:
            described = {one.method.upper() for one in OPERATIONS if one.path == path}
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
                handler = plane(method, filled(path))
                assert handler is not None
                refuses = "_only" in handler.__qualname__
                assert refuses is (method not in described), (method, path)
    finally:
        await node.stop()


def test_names_are_unique_and_codes_are_known() -> None:
    names = [one.name for one in OPERATIONS]
    assert len(set(names)) == len(names)
    for operation in OPERATIONS:
        assert set(operation.codes) <= set(NODE) - set(EDGE), operation.name
        assert len(set(operation.codes)) == len(operation.codes), operation.name


def test_every_code_belongs_to_some_operation() -> None:
    assert {code for one in OPERATIONS for code in one.codes} == set(NODE)
