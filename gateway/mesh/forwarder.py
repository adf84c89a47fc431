"""``python -P -m gateway.mesh.forwarder``: one crossing in the middle, instead of a connection from each node to each.

Nodes publish into its XSUB and subscribe at its XPUB; subscriptions go through it to the publishers, so that still
only what somebody wants is sent. ZeroMQ's own proxy moves the messages, on a thread of its own and without Python.
"""

import asyncio
import signal
import threading
from pathlib import Path

import click
import zmq

from gateway.mesh.address import forwarder_endpoints
from gateway.mesh.security import Security, read_keys, secure_server
from gateway.mesh.socket import Context, MeshSocket, SocketOptions
from skyhooks.errors import SettingsError, SkyhooksError


class Forwarder:
    """A forwarder at the base address `listen`. Made, started and stopped on the event loop.

    `ended` is set, and `error` says why, if its proxy ever ends by itself.
    """

    def __init__(self, listen: str, security: Security | None = None, options: SocketOptions | None = None) -> None:
        self.endpoints = forwarder_endpoints(listen)
        if self.endpoints.publish.endswith(":0"):
            raise SettingsError(
                f"{listen} has no port, and the nodes must know it: name one, and the next one is taken"
            )
        self.ended = asyncio.Event()
        self.error: SkyhooksError | None = None
        self._security = security
        self._options = options
        self._context: Context | None = None
        self._thread: threading.Thread | None = None

    @property
    def denied(self) -> int:
        """Connections that were turned away for their key."""
        return self._security.denied if self._security else 0

    async def start(self) -> None:
        """Listen and forward. Raises `SettingsError`."""
        self._context = zmq.Context()
        if self._security:
            self._security.open(self._context)
        inward = MeshSocket(self._context, zmq.XSUB, self._options)
        outward = MeshSocket(self._context, zmq.XPUB, self._options)
        # Subscriptions count as messages, and one that is lost is lost for good.
        inward.raw.setsockopt(zmq.SNDHWM, 0)
        outward.raw.setsockopt(zmq.RCVHWM, 0)
        try:
            for socket, endpoint in zip((inward, outward), self.endpoints, strict=True):
                secure_server(socket, endpoint, self._security)
                socket.bind(endpoint)
        except SettingsError:
            inward.close(0)
            outward.close(0)
            await self.stop()
            raise
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._forward, args=(inward, outward, loop), name="forwarder")
        self._thread.start()

    async def stop(self) -> None:
        """Let go of everybody and close."""
        context, self._context = self._context, None
        if context is None:
            return
        if self._security:
            self._security.close()
        # Ending the context is what ends the proxy, which then closes its sockets; both wait for that.
        await asyncio.to_thread(context.term)
        if self._thread:
            await asyncio.to_thread(self._thread.join)

    def _forward(self, inward: MeshSocket, outward: MeshSocket, loop: asyncio.AbstractEventLoop) -> None:
        try:
            zmq.proxy(inward.raw, outward.raw)
        except zmq.ContextTerminated:
            pass
        except zmq.ZMQError as error:
            loop.call_soon_threadsafe(self._fail, error)
        finally:
            inward.close()
            outward.close()

    def _fail(self, error: zmq.ZMQError) -> None:
        self.error = SkyhooksError(f"the forwarder has ended: {error.strerror}")
        self.ended.set()


async def serve(listen: str, security: Security | None) -> None:
    """Forward until SIGINT or SIGTERM; SIGHUP reads the allowed keys again."""
    loop = asyncio.get_running_loop()
    forwarder = Forwarder(listen, security)
    await forwarder.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, forwarder.ended.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, security)
    click.echo(f"forwarding: nodes publish to {forwarder.endpoints.publish}, hear {forwarder.endpoints.subscribe}")
    click.echo(f"Next: start every node with -X forwarder={listen}")
    await forwarder.ended.wait()
    await forwarder.stop()
    if forwarder.error:
        raise forwarder.error


def _reload(security: Security | None) -> None:
    try:
        if security:
            security.reload()
    except SettingsError as error:
        click.echo(f"not reloaded, the old keys stay in force: {error}", err=True)


@click.command()
@click.option(
    "--listen", metavar="ADDRESS", required=True, help="tcp://HOST:PORT (and PORT + 1) or ipc:///folder/name."
)
@click.option("--key", metavar="FILE", type=Path, help="This forwarder's secret CURVE key; required off loopback.")
@click.option("--allow", metavar="PATH", type=Path, help="Folder of *.pub files, or a file of keys, that are let in.")
def main(listen: str, key: Path | None, allow: Path | None) -> None:
    """Join the meshes of all nodes in one place, instead of connecting each node to each.

    Example: skyhooks forwarder --listen tcp://127.0.0.1:7100
    """
    try:
        if allow and not key:
            raise SettingsError("--allow has no meaning without --key: `skyhooks keys` makes one")
        asyncio.run(serve(listen, Security(read_keys(key), allow) if key else None))
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    except SkyhooksError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main(prog_name="skyhooks forwarder")
