"""Every problem that a gateway answers with (RFC 9457): its code, the statuses that it comes with, what it means.

The codes are for programs and stay as they are. A test compares the table with the sources, in both directions.
"""

from typing import Final

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """The body of an answer that says what went wrong: `code` is for programs, `detail` for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str


class Kind(msgspec.Struct, frozen=True):
    """One row of the table."""

    statuses: tuple[int, ...]
    meaning: str


def _kind(meaning: str, *statuses: int) -> Kind:
    return Kind(statuses or (400,), meaning)


EDGE: Final = {
    "bad_host": _kind(
        "The Host header is missing, doubled, no host (400), or not one of this gateway (421).", 400, 421
    ),
    "bad_path": _kind("The path is not UTF-8 in percent-encoding."),
    "bad_query": _kind("The query has a field that is unknown, doubled, or has a value that it cannot have."),
    "bad_request": _kind("The request is not HTTP/1.1 or 1.0, or cannot be understood."),
    "bad_target": _kind("The request target is no path."),
    "bad_transfer_encoding": _kind("A transfer coding other than chunked (501), or one in HTTP/1.0.", 400, 501),
    "bad_upgrade": _kind("The request upgrades to WebSocket in a way that RFC 6455 does not know."),
    "body_too_large": _kind("The body is above the limit.", 413),
    "expectation_failed": _kind("Something other than 100-continue is expected.", 417),
    "header_too_large": _kind("The headers are above the limit in bytes or lines.", 431),
    "http_version": _kind("The version of HTTP is neither 1.1 nor 1.0.", 505),
    "internal_error": _kind("The gateway failed; its log says why.", 500),
    "method_not_allowed": _kind("The path does not take the method; the Allow header has those that it does.", 405),
    "method_unknown": _kind("The method is none of HTTP's, or asks for a tunnel.", 501),
    "stopping": _kind("The node is stopping; another one serves the same.", 503),
    "timeout": _kind("The request did not come in time.", 408),
    "too_many_connections": _kind("The client (429) or all clients (503) have too many connections open.", 429, 503),
    "too_many_requests": _kind("The client asks too often; Retry-After says when to come again.", 429),
    "upgrade_required": _kind("The resource, or the version of the handshake, needs a WebSocket of version 13.", 426),
    "url_too_long": _kind("The request target is above the limit.", 414),
}
"""What any request may be answered with."""

NODE: Final = {
    "bad_account": _kind("That is no account."),
    "bad_batch": _kind("A batch is empty (400) or has too many webhooks (413).", 400, 413),
    "bad_body": _kind("The body is JSON, and not what is asked for."),
    "bad_channel": _kind("That is no channel."),
    "bad_content_type": _kind("The body is of another type than those that are taken.", 415),
    "bad_id": _kind("That is no publication's id."),
    "bad_json": _kind("The body is not JSON in UTF-8."),
    "bad_keys": _kind("The keys of a webhook or hook are not those that it can have."),
    "bad_origin": _kind("The page's origin may not talk to this gateway.", 403),
    "bad_position": _kind("That is no position that was handed out."),
    "bad_range": _kind("The file has no such bytes.", 416),
    "bad_signature": _kind("No signature matches a secret of this gateway.", 401),
    "bad_task_id": _kind("That is no task id."),
    "bad_text": _kind("The body is not text in UTF-8."),
    "bad_timestamp": _kind("webhook-timestamp is no count of seconds.", 401),
    "bad_url": _kind("A hook's URL is not one that a webhook can be sent to."),
    "bad_webhook": _kind("The body is JSON, and no webhook."),
    "broker_unavailable": _kind("The task broker did not take the task.", 503),
    "busy": _kind("Too much waits for a commit; send it again.", 503),
    "fenced": _kind("The channel is written by its bridge only.", 409),
    "node_failed": _kind("The node was asked, and could not do it.", 502),
    "node_silent": _kind("The node did not answer in time; it may still do what it was asked.", 504),
    "draining": _kind("The node is stopping and takes no new subscribers; another one serves the same channels.", 503),
    "no_broker": _kind("This gateway submits no tasks.", 503),
    "no_deadlines": _kind("A task is submitted with a deadline, and nobody here could tell whether it has ended.", 422),
    "not_found": _kind("There is nothing at the path.", 404),
    "not_ready": _kind("The node cannot serve now; the detail has the reasons.", 503),
    "stale_timestamp": _kind("webhook-timestamp is too far from the gateway's clock.", 401),
    "store_unavailable": _kind("The store cannot read or commit now; nothing was changed. Send it again.", 503),
    "too_many_channels": _kind("This node serves as many channels as it may; come back later.", 503),
    "unknown_hook": _kind("There is no hook of that id.", 404),
    "unknown_node": _kind("There is no node of that id now.", 404),
    "unknown_task": _kind("The task is not one that may be submitted here.", 404),
    "unsigned": _kind("The headers that sign a webhook are missing.", 401),
}
"""What the resources themselves refuse."""

CONNECT: Final = {
    "already_subscribed": _kind("The connection follows the channel already.", 409),
    "bad_command": _kind("The message is JSON, and no command of the client protocol."),
    "not_subscribed": _kind("The connection does not follow the channel.", 404),
    "too_many_subscriptions": _kind("The connection follows as many channels as it may.", 429),
}
"""What the commands of ``/connect`` refuse, besides what the requests for the same refuse."""

PROBLEMS: Final = {**EDGE, **NODE, **CONNECT}
SIGNING: Final = ("unsigned", "bad_timestamp", "stale_timestamp", "bad_signature")
"""What an unsigned or wrongly signed request is told."""
