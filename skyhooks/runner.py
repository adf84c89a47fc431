"""Runs what a configuration file makes, until a signal: SIGTERM and SIGINT stop it, SIGHUP has it read the file again.

A reload takes everything over or nothing. When the file cannot be used, or a service cannot take the new values over,
the old ones stay in force, and the error stands in the log and in the record beside the pid file. Settings that cannot
change while the service runs keep their values until a restart, and are named.
"""

import asyncio
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Final

import structlog

from skyhooks.configfile import engine_of, read_configuration
from skyhooks.errors import SettingsError
from skyhooks.pidfile import PidFile, Record
from skyhooks.service import BlockingService, Service, drive, run
from skyhooks.settings import Changes, Settings
from skyhooks.tree import Steps, Tree, said

log = structlog.get_logger()

LOOK_SECONDS: Final = 1.0
"""How often a program of threads looks at what no signal tells: whether it is to end, and what `outline` says."""
STOPS: Final = (signal.SIGINT, signal.SIGTERM)


class _Interrupted(KeyboardInterrupt):
    """A signal to stop has come while services that block were starting."""


class Runner:
    """Runs the file at `path`, with these sources of settings. `reopen` is called before each reload.

    `log_file` is only passed on to whoever reads the record. Raises `SettingsError` for a file that cannot be used.
    """

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str],
        overrides: Mapping[str, str],
        pid_file: PidFile,
        reopen: Callable[[], None] = lambda: None,
        log_file: str = "",
    ) -> None:
        self._path = path
        self._environ = environ
        self._overrides = overrides
        self._pid_file = pid_file
        self._reopen = reopen
        self._log_file = log_file
        self._engine = engine_of(path)
        self._configuration = read_configuration(path)
        self.settings: Settings = self._configuration.group.load(environ, overrides, self._configuration.values)
        self._since = time.time()
        self._ready = False
        self._reloads = 0
        self._outcome, self._refused = "", False
        self._said: Record | None = None
        self._saying = threading.Lock()

    def run(self) -> None:
        """Run until a signal; raises what the service could not start with, or has failed with."""
        # Whoever rotates logs may send this before there is anything to reload.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._pid_file.take()
        try:
            service = self._configuration.make(self.settings)
            if isinstance(service, Service):
                with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                    runner.run(self._run_async(service))
            elif isinstance(service, BlockingService):
                self._run_blocking(service)
            else:
                raise SettingsError(f"service in {self._path} must return a service; got {type(service).__name__}")
        finally:
            self._pid_file.give_back()

    async def _run_async(self, service: Service) -> None:
        loop = asyncio.get_running_loop()
        due = asyncio.Event()
        starting = loop.create_task(service.start(), name="start")

        def stop() -> None:
            # A second Ctrl-C ends the program at once.
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            service.end()
            starting.cancel()

        for number in STOPS:
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, due.set)
        service.watch(lambda _: self._say(service))
        self._say(service)
        await asyncio.wait([starting])
        if starting.cancelled():
            return
        starting.result()
        reloading = loop.create_task(self._reload_when_due(service, due), name="reload")
        try:
            self._set_ready(service, True)
            await service.wait()
        finally:
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)
            self._set_ready(service, False)
            await service.stop()

    async def _reload_when_due(self, service: Service, due: asyncio.Event) -> None:
        while await due.wait():
            due.clear()
            await drive(self._reloading(service))

    def _run_blocking(self, service: BlockingService) -> None:
        # Handlers only write to a pipe: whoever waits on a lock when the signal comes must not be waited for.
        readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        asked: set[int] = set()
        starting = True

        def note(number: int, frame: FrameType | None) -> None:
            nonlocal starting
            asked.add(number)
            os.write(writable, b"s")
            if number == signal.SIGINT:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
            if starting and number in STOPS:
                starting = False
                raise _Interrupted

        for number in (*STOPS, signal.SIGHUP):
            signal.signal(number, note)

        def changed(_: Tree) -> None:
            self._say(service)
            os.write(writable, b"s")

        service.watch(changed)
        self._say(service)
        try:
            service.start()
            starting = False
        except _Interrupted:
            return
        try:
            self._set_ready(service, True)
            while not service.wait(0) and asked.isdisjoint(STOPS):
                self._say(service)
                if select.select([readable], [], [], LOOK_SECONDS)[0]:
                    os.read(readable, 1024)
                if signal.SIGHUP in asked:
                    asked.discard(signal.SIGHUP)
                    run(self._reloading(service))
        finally:
            self._set_ready(service, False)
            service.stop()

    def _reloading(self, service: Service | BlockingService) -> Steps:
        """Take over what the file and the other sources say now, or leave everything as it is."""
        try:
            self._reopen()
            configuration = read_configuration(self._path)
            changes = self.settings.reload(self._environ, self._overrides, configuration.values)
            try:
                yield service.reload()
            except Exception:
                self.settings.take_back(changes)
                yield service.reload()
                raise
            self._outcome, self._refused = self._summary(changes), False
            log.info("reloaded", outcome=self._outcome)
        except Exception as error:
            self._outcome, self._refused = said(error), True
            wrong = isinstance(error, SettingsError)
            log.error(
                "reload_refused",
                error=self._outcome,
                then="the old settings stay in force",
                exc_info=None if wrong else error,
            )
        self._reloads += 1
        self._say(service)

    def _summary(self, changes: Changes) -> str:
        kept = [*changes.kept, *(["engine"] if engine_of(self._path) != self._engine else [])]
        summary = f"changed {', '.join(changes.applied)}" if changes.applied else "no setting has changed"
        return f"{summary}; {', '.join(kept)} will change with a restart" if kept else summary

    def _set_ready(self, service: Service | BlockingService, ready: bool) -> None:
        self._ready = ready
        self._say(service)

    def _say(self, service: Service | BlockingService) -> None:
        with self._saying:
            record = Record(
                pid=os.getpid(),
                since=self._since,
                services=service.outline(),
                ready=self._ready,
                reloads=self._reloads,
                outcome=self._outcome,
                refused=self._refused,
                overrides=tuple(f"{name}={value}" for name, value in self._overrides.items()),
                log=self._log_file,
            )
            if record == self._said:
                return
            try:
                self._pid_file.say(record)
            except OSError as error:
                log.warning("record_not_written", error=said(error))
            self._said = record


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Loops of uvloop where it is installed, None for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
