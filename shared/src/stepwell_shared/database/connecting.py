"""How a connection to PostgreSQL is made, and how it notices that the server has vanished.

A URL may name several servers, of which one takes writes. One that does not answer at all must not keep us from asking
the next, and a connection to a machine that is gone must break, although nobody says so.
"""

import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from stepwell_shared.database.arrays import know_types_of_arrays

# Of several servers, each has so long to answer; one alone has as long as whoever asked waits.
ANSWER_SECONDS_MAX = 3.0
# What crosses the network and is not acknowledged for so long ends the connection; so does silence, asked five times.
SILENCE_SECONDS_MAX = 10
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 5, "TCP_USER_TIMEOUT": SILENCE_SECONDS_MAX * 1000}
# What a server says, or does not say, that leaves hope for the next one.
NOT_THIS_ONE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)


class WatchedConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that breaks when the machine at its other end is gone."""

    change = 0
    """How often another server had taken the place of the one before when this was made."""

    def watch(self) -> None:
        """Lets the kernel ask whether the other end is there."""
        keep_asking(self._transport.get_extra_info("socket"))


def keep_asking(channel: socket.socket) -> None:
    """Lets the kernel ask over this channel, where there is a network and the kernel can."""
    if channel.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            channel.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Connector:
    """Makes connections to the servers of a URL: to the last one that was right first, then to the others in order."""

    def __init__(self, url: str) -> None:
        self._urls = list(urls_of(url))
        self._right: str | None = None
        self._changes = 0

    def is_of_the_past(self, connection: WatchedConnection) -> bool:
        """Whether another server was right since this connection was made: what it says can be old."""
        return connection.change != self._changes

    async def connect(self, *_: Any, **options: Any) -> asyncpg.Connection:
        """A connection; `options` are asyncpg's. Raises what the last server said when none is right."""
        if len(self._urls) > 1:
            options["timeout"] = ANSWER_SECONDS_MAX
        error: Exception = asyncpg.InterfaceError("the URL names no server")
        changes = self._changes
        for url in tuple(self._urls):
            try:
                connection = await asyncpg.connect(url, **options)
            except NOT_THIS_ONE as failure:
                error = failure
            else:
                if changes == self._changes:
                    self._found(url)
                if isinstance(connection, WatchedConnection):
                    # Otherwise another one was found right while this one was slow to answer: it is of the past.
                    connection.change = self._changes if url == self._right else changes
                    connection.watch()
                    know_types_of_arrays(connection)
                return connection
        raise error

    def _found(self, url: str) -> None:
        self._urls.remove(url)
        self._urls.insert(0, url)
        self._changes += self._right not in {None, url}
        self._right = url


def urls_of(url: str) -> Sequence[str]:
    """A URL for each server that this one names as `host:port,host:port`."""
    parts = urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    hosts = place.split(",")
    if len(hosts) < 2:
        return [url]
    before, _, after = url.partition(parts.netloc)
    return [f"{before}{login}{at}{host}{after}" for host in hosts]
