"""Starts the services as child processes, waits until they answer, and stops them cleanly.

Used by `stepwell run` and by the journey tests, which also kill one service and start it again.
"""

import contextlib
import errno
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from stepwell_shared.cli.embedded import last_lines
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.settings import ATTACHED

# Longer than a service takes that drains and then finishes what is under way (connections.STOP_SECONDS_MAX).
STOP_SECONDS = 45.0
POLL_SECONDS = 0.05
# Below what systems give to outgoing connections (Linux from 32768 on, others from 49152 on), above what is well known.
LISTENING_PORTS = range(10_000, 32_768)


@dataclass(frozen=True)
class Command:
    """One service to run: how to start it, where it listens, and the path that answers 200 when it is ready."""

    name: str
    argv: Sequence[str]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is added to our own environment."""
    ready_path: str = "/readyz"
    host: str = "127.0.0.1"


@dataclass
class ServiceProcesses:
    """The running services by name. As a context manager it starts all and stops all."""

    commands: Sequence[Command]
    log_folder: Path
    """One file `<name>.log` per service; each start appends."""
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False, repr=False)

    def start(self) -> Self:
        """Starts every service. Raises SetupError when a port is taken, before anything has started."""
        refuse_taken_ports(self.commands)
        self.log_folder.mkdir(parents=True, exist_ok=True)
        for command in self.commands:
            self.start_one(command.name)
        return self

    def start_one(self, name: str) -> None:
        """Starts one service, for the first time or again after it was stopped or killed."""
        command = self._command(name)
        if name in self._running:
            if self._running[name].poll() is None:
                raise ValueError(f"{name} is already running")
            _let_go(self._running[name])
        with self.log_of(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                list(command.argv),
                env={**os.environ, ATTACHED: "true", **command.environment},
                # It ends when we do, however we do, and with it a service that is attached to it.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C at the terminal reaches us alone, so that we stop the services in order.
                start_new_session=True,
            )

    def wait_until_ready(self, *names: str, timeout_seconds: float = 60.0) -> None:
        """Returns when the named services, or all of them, answer 200 at their ready path.

        Raises SetupError with the last log lines of a service that ended early or did not answer in time.
        """
        deadline = time.monotonic() + timeout_seconds
        for name in names or [command.name for command in self.commands]:
            command = self._command(name)
            while not _answers(command):
                self.refuse_ended(name)
                if time.monotonic() > deadline:
                    raise SetupError(
                        f"{name} did not answer {command.ready_path} on port {command.port} within "
                        f"{timeout_seconds:g} seconds.{self._log_tail(name)}"
                    )
                time.sleep(POLL_SECONDS)

    def refuse_ended(self, *names: str) -> None:
        """Raises SetupError, with its last log lines, if one of the named services (or any) has ended by itself."""
        for name in names or tuple(self._running):
            code = self._running[name].poll()
            if code is not None:
                raise SetupError(f"{name} ended with {_meaning(code)}.{self._log_tail(name)}")

    def wait_until_ended(self) -> None:
        """Returns never by itself: raises SetupError when a service ends, or what a signal handler raises."""
        while True:
            self.refuse_ended()
            time.sleep(0.5)

    def kill(self, name: str) -> None:
        """SIGKILL, as a crash would: the service gets no chance to finish anything."""
        process = self._running[name]
        process.kill()
        _let_go(process)

    def stop_one(self, name: str) -> None:
        """Asks one service to finish what it is doing; after a while it is killed."""
        _stop([self._running[name]])

    def stop(self) -> None:
        """Asks all services to finish at the same time; after a while those left are killed."""
        _stop(self._running.values())

    def log_of(self, name: str) -> Path:
        """The log file of a service."""
        return self.log_folder / f"{name}.log"

    def pid_of(self, name: str) -> int:
        """The process number of a started service."""
        return self._running[name].pid

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self, name: str) -> Command:
        return next(command for command in self.commands if command.name == name)

    def _log_tail(self, name: str) -> str:
        return f"\nThe last lines of {self.log_of(name)}:\n{last_lines(self.log_of(name))}"


def refuse_taken_ports(commands: Sequence[Command]) -> None:
    """Raises SetupError naming every port on which another program already listens."""
    taken = [command for command in commands if _is_taken(command.host, command.port)]
    if taken:
        listed = ", ".join(f"{command.port} ({command.name})" for command in taken)
        raise SetupError(
            f"Another program already listens on port {listed}. If it is an earlier `make run`, stop it with Ctrl-C "
            f"in its terminal; `ss -ltnp` shows which program it is."
        )


def free_port(host: str = "127.0.0.1") -> int:
    """A port on which nothing listens right now, and which no system gives to outgoing connections meanwhile."""
    while True:
        port = secrets.choice(LISTENING_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP end the program as Ctrl-C does, so that `with` blocks clean up."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    signals = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Holds back Ctrl-C and its kin while the services stop: a second one must not leave half of them behind."""
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    with _uninterrupted():
        all_of_them = list(processes)
        alive = [process for process in all_of_them if process.poll() is None]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in alive:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        for process in all_of_them:
            _let_go(process)


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Waits for its end, and closes our end of its standard input."""
    process.communicate()


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port that waits out its last connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise SetupError(f"Port {port} of {host} cannot be used: {error.strerror}.") from error
    return False


def _answers(command: Command) -> bool:
    connection = HTTPConnection(command.host, command.port, timeout=5)
    try:
        connection.request("GET", command.ready_path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _meaning(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
