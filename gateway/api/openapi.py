"""The HTTP surface as an OpenAPI 3.1 document, made from the table of operations, the Structs and the settings."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gateway.api.handler import Answering
from gateway.api.problems import EDGE, PROBLEMS, Problem
from gateway.api.schemas import Schema, components, reference
from gateway.api.surface import Operation, Reply, operations
from gateway.edge.settings import EdgeSettings
from gateway.settings import NodeSettings
from skyhooks import __version__
from skyhooks.problem import PROBLEM
from skyhooks.signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER

VERSION: Final = "3.1.0"
SIGNATURE: Final = "signature"
NOT_LIMITS: Final = frozenset({"trusted_proxies"})
ABOUT: Final = (
    "The port of one skyhooks gateway. Whatever is refused is answered with problem+json (RFC 9457) and a stable "
    "`code`. Paths that are not listed are answered 404, methods that are not listed 405."
)
_HEADERS: Final[dict[int, Schema]] = {
    405: {"Allow": {"required": True, "schema": {"type": "string"}, "description": "the methods that the path takes"}},
    426: {"Upgrade": {"required": True, "schema": {"const": "websocket"}}},
    429: {"Retry-After": {"schema": {"type": "string"}, "description": "seconds"}},
    503: {"Retry-After": {"schema": {"type": "string"}, "description": "seconds"}},
}


def document(settings: NodeSettings, *, signed: bool) -> dict[str, Any]:
    """The document for a node with these settings; `signed` says whether it checks signatures."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations(settings):
        methods = paths.setdefault(operation.path, {})
        methods[operation.method] = _operation(operation, signed)
        if operation.method == "get":
            methods["head"] = _head(methods["get"])
    common = {"schemas": components(), "responses": {str(status): _refusal(status, EDGE) for status in _statuses(EDGE)}}
    scheme = {
        "type": "apiKey",
        "in": "header",
        "name": SIGNATURE_HEADER,
        "description": f"Standard Webhooks: HMAC-SHA256 of id, timestamp and body, with the headers {ID_HEADER} and "
        f"{TIMESTAMP_HEADER}.",
    }
    return {
        "openapi": VERSION,
        "info": {
            "title": "skyhooks gateway",
            "version": __version__,
            "description": ABOUT,
            "x-limits": limits(settings),
        },
        "paths": paths,
        "components": {**common, **({"securitySchemes": {SIGNATURE: scheme}} if signed else {})},
    }


def limits(settings: NodeSettings) -> dict[str, Any]:
    """What bounds a request or a connection, by the names of the settings."""
    names = [setting.name for setting in EdgeSettings.all() if setting.name not in NOT_LIMITS]
    return {name: settings.values.get(name, getattr(NodeSettings, name).default) for name in [*names, "batch_items"]}


def _operation(operation: Operation, signed: bool) -> Schema:
    made: Schema = {"operationId": operation.name, "summary": operation.summary}
    if operation.detail:
        made["description"] = operation.detail
    if operation.parameters:
        made["parameters"] = list(operation.parameters)
    if operation.body:
        content = {kind: {"schema": schema} for kind, schema in operation.body.items()}
        made["requestBody"] = {"required": True, "content": content}
    if signed and operation.signed != "none":
        made["security"] = [{SIGNATURE: []}, *([{}] if operation.signed == "some" else [])]
    codes = {*operation.codes, *EDGE}
    replies = {str(status): _reply(reply) for status, reply in operation.replies.items()}
    made["responses"] = replies | {str(status): _problem(status, codes) for status in _statuses(codes)}
    return made


def _head(get: Schema) -> Schema:
    """The same without content."""
    responses = {status: _without_content(response) for status, response in get["responses"].items() if status != "101"}
    return {**get, "operationId": f"{get['operationId']}Head", "responses": responses}


def _without_content(response: Schema) -> Schema:
    return {key: value for key, value in response.items() if key != "content"}


def _reply(reply: Reply) -> Schema:
    made: Schema = {"description": reply.meaning}
    if reply.content:
        made["content"] = {kind: {"schema": schema} for kind, schema in reply.content.items()}
    return made | ({"headers": dict(reply.headers)} if reply.headers else {})


def _statuses(codes: Iterable[str]) -> list[int]:
    return sorted({status for code in codes for status in PROBLEMS[code].statuses})


def _problem(status: int, codes: set[str]) -> Schema:
    own = {code for code in codes if code not in EDGE and status in PROBLEMS[code].statuses}
    return _refusal(status, codes) if own else {"$ref": f"#/components/responses/{status}"}


def _refusal(status: int, codes: Iterable[str]) -> Schema:
    possible = sorted(code for code in codes if status in PROBLEMS[code].statuses)
    said = {"properties": {"status": {"const": status}, "code": {"enum": possible}}}
    headers = _HEADERS.get(status)
    return {
        "description": " ".join(f"`{code}`: {PROBLEMS[code].meaning}" for code in possible),
        "content": {PROBLEM: {"schema": {"allOf": [reference(Problem), said]}}},
        **({"headers": headers} if headers else {}),
    }


class OpenApiHandler(Answering):
    """``GET /openapi.json``."""

    def initialize(self, document: bytes) -> None:
        """Called by Tornado with what the route carries."""
        self.document = document

    def get(self) -> None:
        """The document."""
        self.set_header("Content-Type", "application/json")
        self.finish(self.document)

    head = get


def encoded(settings: NodeSettings, *, signed: bool) -> bytes:
    """The document as it is served."""
    return msgspec.json.encode(document(settings, signed=signed))
