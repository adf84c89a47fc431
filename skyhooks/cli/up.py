"""``skyhooks up``: everything on one machine, as child processes of this one."""

import os
import shlex
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Final

import click
import requests
from kombu.exceptions import OperationalError

from skyhooks import broker, brokers
from skyhooks.child import Program
from skyhooks.cli.console import Console
from skyhooks.cli.options import SECRET
from skyhooks.cli.state import State, default_folder
from skyhooks.cli.worker import APP, POOL, celery_command
from skyhooks.client import DEFAULT_URL
from skyhooks.signature import parse_secrets
from skyhooks.store import open_store
from skyhooks.supervisor import Supervisor

HOST: Final = "127.0.0.1"
WORKER_GRACE: Final = 15.0
GATEWAY_GRACE: Final = 15.0
READY_PAUSE: Final = 0.1


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Of the first gateway.")
@click.option(
    "--gateways", type=click.IntRange(1, 64), default=2, show_default=True, help="How many, on ports in a row."
)
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), help="Folder for its files.  [default: XDG]")
@click.option(
    "--store",
    "store_url",
    envvar="SKYHOOKS_STORE",
    metavar="URL",
    help="Another store than the SQLite file in the state folder.  [$SKYHOOKS_STORE]",
)
@click.option(
    "--broker",
    "broker_url",
    envvar="SKYHOOKS_BROKER",
    metavar="URL",
    help="Another Celery broker than a folder in the state folder.  [$SKYHOOKS_BROKER]",
)
@click.option("--pool", default=POOL, show_default=True, help="The worker's pool: gevent, prefork, threads, solo.")
@click.option("--concurrency", type=click.IntRange(1), default=100, show_default=True, help="Tasks at a time.")
def up(
    port: int,
    gateways: int,
    state: Path | None,
    store_url: str | None,
    broker_url: str | None,
    pool: str,
    concurrency: int,
) -> None:
    """Run everything on this machine: gateways, a worker, a store and a broker, with nothing to install.

    Ctrl-C stops it all. A program that dies is started again.

    Example: skyhooks up --port 9000
    """
    place = State(state or default_folder(os.environ))
    ports = range(port, port + gateways)
    check_ports(ports)
    place.occupy()
    store_url, broker_url = store_url or place.store_url, broker_url or place.broker_url
    if store_url.startswith("memory:"):
        raise click.UsageError("a store in memory belongs to one process, and these are several; leave --store out")
    environ = environment(place, store_url, broker_url)
    recover(store_url, broker_url)
    numbers = f"{HOST}:{free_port()}"
    programs = [gateway_program(number, port, numbers, environ, place.folder) for number, port in enumerate(ports, 1)]
    programs.append(worker_program(pool, concurrency, environ, place.folder))
    programs.append(numbers_program(numbers, environ, place.folder))
    console = Console([program.name for program in programs])
    supervisor = Supervisor(programs, console)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.stop())
    threading.Thread(target=announce, args=(console, supervisor, list(ports), place), daemon=True).start()
    well = supervisor.run()
    if not well:
        raise click.ClickException("a program failed for good, and so everything was stopped: see its lines above")
    console.say(f"Stopped. `skyhooks up` goes on with what is in {place.folder}.")


def check_ports(ports: range) -> None:
    """Raises `click.UsageError` naming the ports that cannot be listened on."""
    if ports[-1] > 65535:
        raise click.UsageError(f"{len(ports)} gateways from port {ports[0]} on end above 65535; use a lower --port")
    taken = {}
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                taken[port] = error.strerror
    if taken:
        reasons = ", ".join(f"{port} ({reason})" for port, reason in taken.items())
        wanted = f"port {ports[0]}" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]}"
        raise click.UsageError(f"{wanted} on {HOST} must be free, but cannot be used: {reasons}; choose with --port")


def environment(place: State, store_url: str, broker_url: str) -> dict[str, str]:
    """The environment of every child. Raises `SettingsError` for a secret that is none."""
    secret = os.environ.get(SECRET) or place.secret()
    parse_secrets(secret)
    given = {"SKYHOOKS_STORE": store_url, "SKYHOOKS_BROKER": broker_url, SECRET: secret, "PYTHONUNBUFFERED": "1"}
    return {"SKYHOOKS_SPOOL": str(place.folder / "spool"), **os.environ, **given}


def recover(store_url: str, broker_url: str) -> None:
    """Make what the broker needs, and queue again what a worker had in hand when it died.

    Raises `click.ClickException` when a broker that somebody named does not answer.
    """
    try:
        brokers.prepare(broker_url)
    except OperationalError as error:
        shown = broker_url.rpartition("@")[2]
        raise click.ClickException(
            f"the broker at {shown} does not answer ({error}); start it, or correct --broker"
        ) from None
    store = open_store(store_url)
    try:
        broker.requeue_unfinished(broker_url, store)
    finally:
        store.close()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def gateway_program(number: int, port: int, numbers: str, environ: dict[str, str], folder: Path) -> Program:
    """A gateway on a port; it goes after the workers, which still have results to bring."""
    where = ("--listen", f"{HOST}:{port}", "--node-id", f"node-{number}")
    argv = (sys.executable, "-P", "-m", "gateway", *where, "-X", f"bridges=numbers=numbers://{numbers}")
    return Program(name=f"gateway-{number}", argv=argv, env=environ, folder=folder, rank=1, grace=GATEWAY_GRACE)


def numbers_program(listen: str, environ: dict[str, str], folder: Path) -> Program:
    """The server of the feed that the leader brings into the channel ``numbers``."""
    argv = (sys.executable, "-P", "-m", "workers.numbers", "--listen", listen)
    return Program(name="numbers", argv=argv, env=environ, folder=folder, rank=2)


def worker_program(pool: str, concurrency: int, environ: dict[str, str], folder: Path) -> Program:
    """The worker. Its folder is the state folder, where no package of somebody else's can be named like ours."""
    options = ("--concurrency", str(concurrency), "--loglevel", "INFO", "--hostname", "worker-1@%h")
    argv = celery_command(APP, pool, options, quiet=True)
    return Program(name="worker-1", argv=argv, env=environ, folder=folder, rank=0, grace=WORKER_GRACE)


def announce(console: Console, supervisor: Supervisor, ports: list[int], place: State) -> None:
    """Once every gateway is ready, say where to look."""
    urls = [f"http://{HOST}:{port}" for port in ports]
    for url in urls:
        while not ready(url):
            time.sleep(READY_PAUSE)
    console.say(where_to_look(urls, supervisor.pids().get("gateway-1", 0), place))


def ready(url: str) -> bool:
    """Whether a gateway of this machine says that it is; no proxy is asked."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(f"{url}/readyz", timeout=2, allow_redirects=False).ok
        except requests.RequestException:
            return False


def where_to_look(urls: list[str], first_pid: int, place: State) -> str:
    """What to open and to type next."""
    at = "" if urls[0] == DEFAULT_URL else f" --url {urls[0]}"
    rows = [
        ("Page", f"{urls[0]}/"),
        ("Watch", f"curl -N {urls[0]}/channels/accounts/demo"),
        ("Submit", f"skyhooks submit workers.tasks.countdown --account demo --wait{at}"),
        ("Numbers", f"curl -N {urls[-1]}/channels/numbers    (the leader brings them, any node has them)"),
        ("Nodes", f"skyhooks cluster status{at}"),
        ("Break", f"kill -9 {first_pid}    (the first gateway; the page goes on by itself)"),
    ]
    if len(urls) > 1:
        rows.insert(1, ("Same at", ", ".join(f"{url}/" for url in urls[1:])))
    table = "\n".join(f"  {title:8} {text}" for title, text in rows)
    return f"\nSkyhooks is ready.\n\n{table}\n\nIts files are in {shlex.quote(str(place.folder))}. Ctrl-C stops it.\n"
