"""How much goes over a link at once. Pure: what was sent, how long it took and whether it arrived are handed in.

A body must be with the receiver within its body deadline, on 64 kbit/s (8,000 bytes a second) too: what is sent begins
small, grows while it goes quickly, and shrinks to a single event when it does not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

BYTES_FIRST = 24_576
BYTES_MIN = 2_048
BYTES_MAX = 262_144
QUICK_SECONDS = 1.0
SLOW_SECONDS = 4.0
# Time for one request beside the bytes themselves: connection, TLS, the receiver's work, lost packets.
ANSWER_SECONDS = 20.0
BYTES_PER_SECOND_MIN = 2_000

# An event under its number: the number, and the place in the outbox in case another event has the number next time.
Mark = tuple[int, tuple[int, int]]


class Sized(Protocol):
    """Something to send that knows its size in bytes, and whether nothing may travel with it."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def alone(self) -> bool: ...


Item = TypeVar("Item", bound=Sized)


@dataclass(slots=True)
class Link:
    """What is known of the way to one subscriber. It lives as long as the process: a new one starts carefully."""

    bytes_max: int = BYTES_FIRST
    arrived: set[Mark] = field(default_factory=set)

    def succeeded(self, size_bytes: int, seconds: float) -> None:
        """So many bytes were answered for after so many seconds."""
        if seconds > SLOW_SECONDS:
            self.bytes_max = max(BYTES_MIN, self.bytes_max // 2)
        elif seconds < QUICK_SECONDS and size_bytes > self.bytes_max // 4:
            self.bytes_max = min(BYTES_MAX, self.bytes_max * 2)

    def failed(self) -> None:
        """No answer came that says anything."""
        self.bytes_max = max(BYTES_MIN, self.bytes_max // 2)

    def forget_below(self, number: int) -> None:
        """Forgets what arrived under lower numbers: it is settled, and not sent again."""
        self.arrived = {mark for mark in self.arrived if mark[0] >= number}

    def parts(self, items: Sequence[Item]) -> Iterator[list[Item]]:
        """The items in their order, in parts that the link can carry now; each part has at least one."""
        part: list[Item] = []
        for item in items:
            size_bytes = sum(each.size_bytes for each in part) + item.size_bytes
            if part and (size_bytes > self.bytes_max or item.alone or part[0].alone):
                yield part
                part = []
            part.append(item)
        if part:
            yield part


def timeout_seconds(size_bytes: int) -> float:
    """How long to wait for the answer to so many bytes."""
    return ANSWER_SECONDS + size_bytes / BYTES_PER_SECOND_MIN
