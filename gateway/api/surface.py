"""Every operation of a gateway's port, both planes, as a table: what it takes, what it answers, how it refuses.

What any request may be refused with is not repeated here; see `gateway.api.problems.EDGE`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from gateway.api.catalogue import OfferedTask
from gateway.api.control import Status
from gateway.api.hooks import Registration
from gateway.api.journal import DEFAULT_LIMIT, DEFAULT_SINCE, MOST, SINCE_PATTERN, Entries
from gateway.api.problems import SIGNING
from gateway.api.schemas import ACCOUNT, CHANNEL, POSITION, Schema, listing, reference, text
from gateway.api.tasks import Submission
from gateway.channels import Published
from gateway.cluster.census import Draining, Nodes, Presence
from gateway.hub import encoding, tail
from gateway.negotiation import SWITCH, VIEWS
from gateway.settings import NodeSettings
from gateway.submit import Submitted
from skyhooks.intake import JSON, Accepted
from skyhooks.publication import POSITION_PATTERN
from skyhooks.store.base import Hook
from skyhooks.webhook import ID_PATTERN, NDJSON, Webhook

_STREAM: Final = {"type": "string", "x-line": {"$ref": "#/components/schemas/Line"}}
_ENDLESS: Final = {"type": "string"}
_STATE: Final = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}


class Reply(msgspec.Struct, frozen=True):
    """An answer that is no problem: what it means, and its schema by content type."""

    meaning: str
    content: Mapping[str, Schema] = {}
    headers: Mapping[str, Schema] = {}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path. `codes` are the problems of its own; `signed` says whose requests are signed
    where a gateway checks that: none, some (of accounts and tasks), all.
    """

    method: str
    path: str
    name: str
    summary: str
    detail: str = ""
    replies: Mapping[int, Reply]
    codes: tuple[str, ...] = ()
    parameters: tuple[Schema, ...] = ()
    body: Mapping[str, Schema] = {}
    signed: Literal["none", "some", "all"] = "none"


def operations(settings: NodeSettings) -> tuple[Operation, ...]:
    """The table for a node with these settings."""
    return (*_publishing(settings), *_subscribing(), *_control_plane(settings), *_cluster())


def _publishing(settings: NodeSettings) -> Iterator[Operation]:
    yield Operation(
        method="post",
        path="/hooks",
        name="postWebhooks",
        summary="Take webhooks in, and answer once they are committed",
        detail=f"One webhook is answered 200 or a problem. A batch has one webhook a line, up to "
        f"{settings.batch_items:,}, and is answered 200 with one item a line, some of which may be `refused`.",
        replies={200: _json("Everything in the request is settled for good.", reference(Accepted))},
        codes=(
            *("bad_account", "bad_batch", "bad_content_type", "bad_id", "bad_json", "bad_keys", "bad_origin"),
            *("bad_task_id", "bad_webhook", "busy", "store_unavailable"),
            *SIGNING,
        ),
        body={
            JSON: reference(Webhook),
            NDJSON: {"description": "one webhook a line", "pattern": r"[^\t-\r ]", "x-line": reference(Webhook)},
        },
        signed="all",
    )
    yield Operation(
        method="post",
        path="/channels/{channel}",
        name="publish",
        summary="Publish to a channel",
        detail="A gateway that checks signatures wants one for the channels of accounts and tasks.",
        replies={200: _json("It was published.", reference(Published))},
        codes=(
            *("bad_channel", "bad_content_type", "bad_id", "bad_json", "bad_origin", "bad_text", "busy", "fenced"),
            *("store_unavailable", *SIGNING),
        ),
        parameters=(
            _channel(),
            parameter(
                "Idempotency-Key",
                "header",
                text(rf"(?:{ID_PATTERN})?", "order-7"),
                "The publication's id: with the same one it is stored once. White space around it does not count.",
            ),
        ),
        body={JSON: {"description": "any JSON"}, "text/plain": {"type": "string"}},
        signed="some",
    )


def _subscribing() -> Iterator[Operation]:
    yield Operation(
        method="get",
        path="/channels/{channel}",
        name="subscribe",
        summary="Subscribe to a channel",
        detail="`Upgrade: websocket` gives one text message for each publication, `Accept: text/event-stream` "
        "server-sent events, anything else one line each. `view=tail` gives a page, or parts to a client that accepts "
        "multipart/x-mixed-replace. None of them ends.",
        replies={
            101: Reply("A WebSocket; each message is a `Line`."),
            200: Reply("What is published, as it comes.", _streams()),
        },
        codes=("bad_channel", "bad_origin", "bad_position", "draining", "store_unavailable", "too_many_channels"),
        parameters=(
            _channel(),
            parameter("since", "query", _or_empty(POSITION), "Resume after this position; 0 is the start."),
            parameter("raw", "query", {"enum": list(SWITCH)}, "Only what was published, without positions."),
            parameter("view", "query", {"enum": list(VIEWS)}, "How it is shown."),
            parameter(
                "Last-Event-ID",
                "header",
                text(rf"[ \t]*(?:0|{POSITION_PATTERN})?[ \t]*", "0"),
                "What a browser sends when it reconnects to events.",
            ),
        ),
    )
    yield Operation(
        method="get",
        path="/connect",
        name="connect",
        summary="Follow many channels on one WebSocket",
        detail="The client subscribes, publishes and asks for presence by messages on it; docs/connect.md has them.",
        replies={101: Reply("A WebSocket that speaks the client protocol.")},
        codes=("bad_origin", "draining"),
    )


def _streams() -> dict[str, Schema]:
    return {
        encoding.STREAM.content_type: _STREAM,
        encoding.EVENTS.content_type: _ENDLESS,
        tail.PAGE.content_type.partition(";")[0]: _ENDLESS,
        tail.PARTS.content_type.partition(";")[0]: _ENDLESS,
    }


def _control_plane(settings: NodeSettings) -> Iterator[Operation]:
    task = parameter("name", "path", {"enum": list(settings.tasks)}, "One of the tasks that may be submitted here.")
    hook_id = parameter("id", "path", {"type": "string", "minLength": 1}, "What the registration was answered.")
    account = parameter("account_id", "query", ACCOUNT, "Only those that hear of this account.")
    yield _get("/healthz", "health", "Whether the process answers", _STATE)
    yield _get("/readyz", "readiness", "Whether the node should get traffic", _STATE, "not_ready")
    yield _get("/api/status", "status", "The node in figures", reference(Status))
    yield _get("/api/tasks", "listTasks", "The tasks that may be submitted here", listing("tasks", OfferedTask))
    yield Operation(
        method="post",
        path="/api/tasks/{name}",
        name="submitTask",
        summary="Submit a task",
        detail="The answer says in which channels its results will appear, and from which positions to subscribe. "
        "A task that has not ended `deadline` seconds later (0: never; absent: the setting task_deadline_seconds) is "
        "published as FAILURE with the code `deadline`; one that has not begun `expires` seconds later is not run, and "
        "is published as REVOKED with the code `expired`.",
        replies={202: _json("The broker has it.", reference(Submitted))},
        codes=(
            *("bad_account", "bad_body", "bad_content_type", "bad_json", "bad_origin", "broker_unavailable"),
            *("no_broker", "no_deadlines", "store_unavailable", "unknown_task"),
        ),
        parameters=(task,),
        body={JSON: reference(Submission)},
    )
    hooks = listing("hooks", Hook)
    codes = ("bad_account", "store_unavailable")
    yield _get("/api/hooks", "listHooks", "The registered hooks, oldest first", hooks, *codes, parameters=(account,))
    location = {"Location": {"required": True, "schema": {"type": "string"}}}
    yield Operation(
        method="post",
        path="/api/hooks",
        name="addHook",
        summary="Have a URL told of everything for a key",
        replies={
            201: _json("It is registered; the same registration again gives the same.", reference(Hook), location)
        },
        codes=(
            *("bad_account", "bad_body", "bad_content_type", "bad_json", "bad_keys", "bad_origin", "bad_url"),
            "store_unavailable",
        ),
        body={JSON: reference(Registration)},
    )
    yield Operation(
        method="delete",
        path="/api/hooks/{id}",
        name="removeHook",
        summary="Remove a hook",
        replies={204: Reply("It is gone.")},
        codes=("bad_origin", "store_unavailable", "unknown_hook"),
        parameters=(hook_id,),
    )
    yield _get("/openapi.json", "openapi", "This document", {"type": "object"})
    yield _file("/", "page", "The page that submits tasks and shows their results")
    path = parameter("path", "path", {"type": "string", "minLength": 1, "examples": ["app.js"]}, "The name of a file.")
    yield _file("/static/{path}", "pageFile", "The page's files", path)


def _cluster() -> Iterator[Operation]:
    node = parameter("id", "path", {"type": "string", "minLength": 1}, "The id of a node, or `leader`.")
    yield _get("/api/nodes", "listNodes", "Every node of the cluster, each in its own words", reference(Nodes))
    yield Operation(
        method="post",
        path="/api/nodes/{id}/drain",
        name="drainNode",
        summary="Have a node stop in good order",
        detail="It takes no new subscribers, sends away those that it has, hands leadership over and ends.",
        replies={202: _json("It has begun.", reference(Draining))},
        codes=("bad_origin", "node_failed", "node_silent", "unknown_node"),
        parameters=(node,),
    )
    yield _get(
        "/api/channels/{channel}/presence",
        "presence",
        "How many subscribers a channel has, in all and on each node",
        reference(Presence),
        "bad_channel",
        parameters=(_channel(),),
    )
    yield _get(
        "/api/journal",
        "journal",
        "What happened to results: when they were finished, stored and sent, and by whom",
        reference(Entries),
        *("bad_account", "bad_task_id", "store_unavailable"),
        parameters=(
            parameter("account", "query", ACCOUNT, "Only what happened for this account."),
            parameter("task", "query", ACCOUNT, "Only what happened to this task."),
            parameter(
                "since",
                "query",
                text(SINCE_PATTERN, "1h"),
                f"From when on: seconds since 1970, or so long ago (s, m, h, d). Default: {DEFAULT_SINCE}.",
            ),
            parameter(
                "limit",
                "query",
                {"type": "integer", "minimum": 1, "maximum": MOST},
                f"How many entries at most. Default: {DEFAULT_LIMIT}.",
            ),
        ),
    )


def _get(
    path: str, name: str, summary: str, schema: Schema, *codes: str, parameters: tuple[Schema, ...] = ()
) -> Operation:
    replies = {200: _json("What was asked for.", schema)}
    return Operation(
        method="get", path=path, name=name, summary=summary, replies=replies, codes=codes, parameters=parameters
    )


def _file(path: str, name: str, summary: str, *parameters: Schema) -> Operation:
    replies = {
        200: Reply("The file.", {"*/*": {}}),
        206: Reply("The part that the Range header asks for.", {"*/*": {}}),
        304: Reply("It is still what the client has."),
    }
    codes = ("bad_range", "not_found")
    return Operation(
        method="get", path=path, name=name, summary=summary, replies=replies, codes=codes, parameters=parameters
    )


def _json(meaning: str, schema: Schema, headers: Mapping[str, Schema] | None = None) -> Reply:
    return Reply(meaning, {JSON: schema}, headers or {})


def _or_empty(schema: Schema) -> Schema:
    return {"anyOf": [{"const": ""}, schema]}


def _channel() -> Schema:
    return parameter("channel", "path", CHANNEL, "A channel; its slashes may be written as they are.")


def parameter(name: str, place: str, schema: Schema, about: str) -> dict[str, Any]:
    """A parameter object (OpenAPI 3.1 section 4.8.12); those of a path are required."""
    made = {"name": name, "in": place, "description": about, "schema": schema}
    return made | ({"required": True} if place == "path" else {})
