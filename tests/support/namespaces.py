"""Two network namespaces with one line between them: each has interfaces and routes of its own, and nothing in common.

The test itself stands in neither: it reaches each over an interface of its own, which leads nowhere further. Databases
are reached over Unix sockets, which belong to the file system.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.lines import Line, Lines

LINK = "between"
# Written by what listens at the line, so that nothing that crosses it is missed before somebody sends.
LISTENER = """
import socket, sys
line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
line.bind((sys.argv[1], 0))
line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 2**20)
with open(sys.argv[2], "wb", buffering=0) as kept:
    kept.write(b"\\n")
    while True:
        try:
            frame = line.recv(70_000)
        except OSError:
            continue  # said once when the line goes down
        header = 14 + (frame[14] & 15) * 4
        if frame[12:14] == b"\\x08\\x00" and frame[23] == 6:
            kept.write(frame[header + (frame[header + 12] >> 4) * 4 : 14 + int.from_bytes(frame[16:18], "big")])
"""


@dataclass
class Namespace:
    """One network namespace as the line to the organisation in it."""

    name: str
    host: str
    inside: str
    heard: Path
    port: int = 0
    listens: str = "0.0.0.0"

    @property
    def within(self) -> Sequence[str]:
        """What runs a command inside of it."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Its end of the line goes down: no route, and what is under way is never answered."""
        _ip("-n", self.name, "link", "set", LINK, "down")

    def mend(self) -> None:
        """The line is up again."""
        _ip("-n", self.name, "link", "set", LINK, "up")

    def crossed(self) -> bytes:
        """What TCP carried over the line, both ways, as far as it has come."""
        return self.heard.read_bytes()


def why_not() -> str:
    """Why this machine has no network namespaces for us; empty when it has."""
    if shutil.which("ip") is None:
        return "there is no `ip` (iproute2) here"
    name = f"stepwell-{os.getpid()}-probe"
    try:
        _ip("netns", "add", name)
        _ip("netns", "delete", name)
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip().splitlines()
        return f"network namespaces are not permitted here ({words[-1] if words else 'ip netns add'})"
    return ""


@contextmanager
def two_namespaces(folder: Path) -> Iterator[Lines]:
    """Makes a line to each of two organisations in turn; both namespaces are gone afterwards."""
    number = os.getpid() % 250
    with ExitStack() as stack:
        both = [_namespace(stack, folder, end, number) for end in (1, 2)]
        first, second = (each.name for each in both)
        _ip("-n", first, "link", "add", LINK, "type", "veth", "peer", "name", LINK, "netns", second)
        for each in both:
            _ip("-n", each.name, "address", "add", f"{each.host}/30", "dev", LINK)
            _ip("-n", each.name, "link", "set", LINK, "up")
        for each in both:
            stack.enter_context(_listening(each))
        yield _lines(both)


def _lines(namespaces: list[Namespace]) -> Lines:
    left = iter(namespaces)

    @asynccontextmanager
    async def line(port: int) -> AsyncIterator[Line]:
        found = next(left)
        found.port = port
        yield found

    return line


def _namespace(stack: ExitStack, folder: Path, end: int, number: int) -> Namespace:
    """One with loopback and an interface to us."""
    name, outside = f"stepwell-{os.getpid()}-{end}", f"sw{os.getpid() % 10**8}-{end}"
    _ip("netns", "add", name)
    stack.callback(_delete, name)
    _ip("link", "add", outside, "type", "veth", "peer", "name", "people", "netns", name)
    near, far = f"10.{200 + end}.{number}.1", f"10.{200 + end}.{number}.2"
    _ip("address", "add", f"{near}/30", "dev", outside)
    _ip("link", "set", outside, "up")
    _ip("-n", name, "address", "add", f"{far}/30", "dev", "people")
    for interface in ("people", "lo"):
        _ip("-n", name, "link", "set", interface, "up")
    return Namespace(name, host=f"10.200.{number}.{end}", inside=far, heard=folder / f"line-{end}")


@contextmanager
def _listening(namespace: Namespace) -> Iterator[None]:
    command = [*namespace.within, sys.executable, "-c", LISTENER, LINK, str(namespace.heard)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: namespace.heard.exists() and namespace.heard.stat().st_size > 0)
        yield
    finally:
        process.kill()
        process.wait()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "nothing listens at the line"
        time.sleep(0.02)


def _delete(name: str) -> None:
    with suppress(subprocess.CalledProcessError):
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
