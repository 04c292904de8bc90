"""Ids that the server assigns: time-ordered, so that new rows stand together in their indexes."""

import os
import time

_RANDOM_BYTES = 10
_DRAWN_AT_ONCE = 256
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_drawn: list[str] = []
# What was drawn before a fork would be drawn twice.
os.register_at_fork(after_in_child=_drawn.clear)


def new_id() -> str:
    """A UUID of version 7 (RFC 9562 section 5.7): milliseconds, then 74 random bits."""
    if not _drawn:
        bulk = os.urandom(_RANDOM_BYTES * _DRAWN_AT_ONCE).hex()  # one system call for many ids
        width = 2 * _RANDOM_BYTES
        _drawn.extend(_tail(bulk[start : start + width]) for start in range(0, len(bulk), width))
    begun = f"{time.time_ns() // 1_000_000:012x}"
    return f"{begun[:8]}-{begun[8:]}{_drawn.pop()}"


def _tail(random: str) -> str:
    """What follows the time: version and variant stand in the place of six of these random bits."""
    return f"-7{random[1:4]}-{_VARIANT[random[4]]}{random[5:8]}-{random[8:]}"
