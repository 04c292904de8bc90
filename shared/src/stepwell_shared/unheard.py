"""Requests that are refused before an application is entered: what a connection asks of a gate, and what stands for a
request while its body arrives.
"""

from collections.abc import Callable
from typing import Protocol

from starlette.types import Scope


class Refusal(Protocol):
    """Why a request has to come again."""

    wants_body: bool

    def admits(self, scope: Scope, body: bytes) -> bool:
        """Whether it is let in all the same, for what its body says."""

    def answer(self, scope: Scope, said_always: bytes, *, keep_alive: bool) -> bytes:
        """The answer as it is sent."""


class Gate(Protocol):
    """Refuses requests before the application is entered."""

    def is_narrow(self) -> bool:
        """Whether any may have to be refused."""

    def enter(self) -> None:
        """One is let in."""

    def refusal(self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
        """Why this one is refused, if it is."""


class Unheard:
    """Stands where uvicorn keeps what answers a request, while one arrives for which there is no room.

    uvicorn puts the body there and calls `set` of its `message_event`, which is the same, after each part of it.
    """

    __slots__ = (
        "_heard",
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "refusal",
        "response_complete",
        "response_started",
        "scope",
    )

    def __init__(self, scope: Scope, refusal: Refusal, *, keep_alive: bool, heard: Callable[["Unheard"], None]) -> None:
        self.scope = scope
        self.refusal = refusal
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.more_body = True
        self.response_started = self.response_complete = self.disconnected = False
        self.message_event = self
        self._heard = heard

    def set(self) -> None:
        """Some of the body is there, or the connection is lost."""
        if not self.disconnected:
            self._heard(self)
