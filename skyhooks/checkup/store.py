"""The store."""

from collections.abc import Iterator
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from skyhooks.checkup.finding import Finding, Mistake, check, good
from skyhooks.checkup.subject import Subject
from skyhooks.checkup.visit import TIMEOUT
from skyhooks.errors import StoreUnusable
from skyhooks.store.mongo.place import SCHEMES

STORE_UNUSABLE: Final = Mistake(
    "store_unusable",
    "fail",
    "the store will never work as it is configured: its URL is wrong, its place may not be written to, a user name or "
    "password is refused.",
    "do what the line says, or name another store with SKYHOOKS_STORE, --store or skyhooks_store",
)
STORE_UNAVAILABLE: Final = Mistake(
    "store_unavailable",
    "fail",
    "the store cannot be written to and read from now: its server does not answer, its disk is full or read-only.",
    "start its server, make its disk writable, or name another store with SKYHOOKS_STORE, --store or skyhooks_store",
)
STANDALONE_MONGOD: Final = Mistake(
    "standalone_mongod",
    "fail",
    "the store's mongod is not a member of a replica set, so there is no majority to commit to.",
    "start it with mongod --replSet skyhooks (one member is enough), then run rs.initiate() once in mongosh",
)
MEMORY_STORE: Final = Mistake(
    "memory_store",
    "fail",
    "the app's store is memory://, which ends with its process: no gateway sees what a worker writes into it.",
    "set result_backend = 'skyhooks+sqlite:///absolute/path.db' on one machine, 'skyhooks+mongodb://…' on several",
)


@check(STORE_UNUSABLE, STORE_UNAVAILABLE, STANDALONE_MONGOD, MEMORY_STORE)
def store(subject: Subject) -> Iterator[Finding]:
    """Whether the store is one for several processes, and a value can be written to it and read back."""
    error = subject.store_error
    if error is None:
        if subject.store_url == "memory://" and not subject.settings.in_process:
            yield MEMORY_STORE.found("store: memory:// belongs to one process, and workers and gateways are several")
        else:
            yield good(f"store: {subject.shown_store} can be written and read")
    elif alone := standalone(subject.store_url):
        yield STANDALONE_MONGOD.found(f"store: the mongod at {alone} is not in a replica set")
    else:
        mistake = STORE_UNUSABLE if isinstance(error, StoreUnusable) else STORE_UNAVAILABLE
        yield mistake.found(f"store: {error}")


def standalone(url: str) -> str:
    """The address of a server behind a MongoDB URL that stands alone; empty when none does or answers.

    A URL that names a replica set fails on such a server with a time-out, so each is asked by itself.
    """
    if url.partition(":")[0] not in SCHEMES:
        return ""
    try:
        parsed: dict[str, Any] = parse_uri(url, warn=False)
        tls = {name: value for name, value in parsed["options"].items() if name.lower().startswith("tls")}
        for host, port in parsed["nodelist"]:
            if _stands_alone(host, port, tls):
                return f"{host}:{port}"
    except (PyMongoError, ValueError, OSError):
        return ""
    return ""


def _stands_alone(host: str, port: int, tls: dict[str, Any]) -> bool:
    milliseconds = round(TIMEOUT * 1000)
    with MongoClient[dict[str, Any]](
        host, port, directConnection=True, serverSelectionTimeoutMS=milliseconds, timeoutMS=milliseconds, **tls
    ) as client:
        try:
            # Answered to anyone, also before a password is asked for.
            hello = client.admin.command("hello")
        except PyMongoError:
            return False
    return "setName" not in hello and not hello.get("isreplicaset") and hello.get("msg") != "isdbgrid"
