"""The gate: what is refused for want of room before the application is entered, for a twentieth of what that costs.

Beyond its peak a process is asked for more than it can even refuse at the door. The gate decides at the connection,
where the head of a request ends: no task, no token, no parsing. What cannot wait is let in here as at the door.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

from starlette.types import Scope

from stepwell_shared.auth.shares import Shares
from stepwell_shared.door import ALWAYS_OPEN, Guard
from stepwell_shared.fhir.outcome import Category, FhirError, outcome_bytes
from stepwell_shared.fhir.wire import safe_request_id
from stepwell_shared.marks import CANNOT_WAIT

# A turn of the event loop is about what a refusal waits for: longer, and fewer requests are worked on at once.
TURN_SECONDS_MAX = 0.02
ROOM_MIN = 64
_SHRINKS, _GROWS = 0.8, 4
# Who has not had to shrink for so long has all of its room again.
RECOVERED_SECONDS = 1.0
_READY_MAX = 256
_BRINGS_NOTHING = frozenset({b"GET", b"HEAD"})


class Refusal:
    """What a request is told that has to come again, put together once. `test` says whether a body cannot wait."""

    def __init__(self, guard: Guard, error: FhirError, test: Callable[[bytes], bool] | None) -> None:
        self._guard, self._category, self._test = guard, error.category.value, test
        self.wants_body = test is not None
        self._body = outcome_bytes(error.issues)
        phrase = HTTPStatus(error.status).phrase
        self._status = f"HTTP/1.1 {error.status} {phrase}\r\n".encode()
        self._lines = (
            f"content-type: application/fhir+json\r\ncontent-length: {len(self._body)}\r\n"
            f"retry-after: {error.headers['Retry-After']}\r\nx-request-id: "
        ).encode()

    def admits(self, scope: Scope, body: bytes) -> bool:
        """Whether the request is let in all the same, because it cannot wait and there is room for such; it is marked
        as one then."""
        if self._test is None or not self._guard.has_urgent_room(len(body)) or not self._test(body):
            return False
        scope[CANNOT_WAIT] = len(body)
        return True

    def answer(self, scope: Scope, said_always: bytes, *, keep_alive: bool) -> bytes:
        """The whole answer as it is sent, which counts as one."""
        self._guard.refused[self._category] += 1
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = safe_request_id(given.decode("latin-1")).encode()
        end = b"\r\n\r\n" if keep_alive else b"\r\nconnection: close\r\n\r\n"
        body = b"" if scope["method"] == "HEAD" else self._body
        return b"".join((self._status, said_always, self._lines, request_id, end, body))


class Turn:
    """Measures, when it is to be watched, how long the event loop needs for one turn; the gate is told."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate
        self._began: float | None = None

    def watch(self) -> None:
        """Measures the next turn, if none is being measured. Whoever is refused calls it, so that a turn is always
        one in which there was work: the loop does not wait for anything while a callback is due."""
        if self._began is None:
            self._began = 0.0
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._began = time.monotonic()
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        began, self._began = self._began, None
        self._gate.turned(time.monotonic() - (began or 0.0))


class Gate:
    """Decides about requests that a guard, or the share of their client, has no room for.

    Only clients that were refused at the door a moment ago are refused for their share here: who they are was proved
    there.
    """

    def __init__(self, guard: Guard) -> None:
        limits = guard.limits
        self._guard = guard
        self._shared_below = b""
        self._unshared: frozenset[bytes] = frozenset()
        self._passes = frozenset(each.encode() for each in (*ALWAYS_OPEN, *limits.reserved))
        self._shares: Shares | None = None
        self._share_max = 1.0
        self._turn = Turn(self)
        self._ready: dict[tuple[Category, str, Callable[[bytes], bool] | None], Refusal] = {}
        self.shrank_at = -math.inf

    def open_for(self, shares: Shares, share_max: float, below: str, unshared: Iterable[str]) -> None:
        """Knows from now on the shares of clients, which are so much of the room; they count below one path, but for
        some pages there."""
        self._shares, self._share_max = shares, share_max
        self._shared_below = below.encode()
        self._unshared = frozenset(each.encode() for each in unshared)
        self._fit()

    def is_narrow(self) -> bool:
        """Whether anybody may have to be refused; asked on every request."""
        guard, shares = self._guard, self._shares
        taken = guard.in_flight - guard.urgent + guard.entering
        return taken >= guard.room or (shares is not None and shares.has_spent)

    def enter(self) -> None:
        """A request is let in."""
        self._guard.entering += 1

    def refusal(self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
        """Why a request has to come again, if it has to."""
        path = url.partition(b"?")[0]
        if path in self._passes or b"%" in path:
            return None
        guard = self._guard
        is_full = guard.in_flight - guard.urgent + guard.entering >= self._room()
        error = guard.busy() if is_full else self._spent(path, headers)
        if error is None:
            return None
        self._turn.watch()
        return self._refusal(error, method, path)

    def _spent(self, path: bytes, headers: list[tuple[bytes, bytes]]) -> FhirError | None:
        """What the client is told, if its share is spent."""
        shares = self._shares
        if shares is None or not shares.has_spent or not path.startswith(self._shared_below) or path in self._unshared:
            return None
        for name, value in headers:
            if name == b"authorization":
                return shares.spent(value)
        return None

    def _refusal(self, error: FhirError, method: bytes, path: bytes) -> Refusal:
        """The refusal that stands for this error, made once."""
        urgent = self._guard.limits.urgent
        test = None if method in _BRINGS_NOTHING else urgent(method.decode(), path.decode("latin-1"))
        key = error.category, error.headers["Retry-After"], test
        found = self._ready.get(key)
        if found is None:
            if len(self._ready) >= _READY_MAX:
                self._ready.clear()
            found = self._ready[key] = Refusal(self._guard, error, test)
        return found

    def _room(self) -> int:
        """How many may be worked on now."""
        guard = self._guard
        if guard.room < guard.limits.in_flight_max and time.monotonic() - self.shrank_at > RECOVERED_SECONDS:
            guard.room = guard.limits.in_flight_max
            self._fit()
        return guard.room

    def turned(self, seconds: float) -> None:
        """So long the last turn took in which somebody was refused."""
        guard, room_max = self._guard, self._guard.limits.in_flight_max
        if seconds > TURN_SECONDS_MAX:
            self.shrank_at = time.monotonic()
            guard.room = max(min(ROOM_MIN, room_max), int(guard.room * _SHRINKS))
        elif seconds < TURN_SECONDS_MAX / 2:
            guard.room = min(room_max, guard.room + _GROWS)
        self._fit()

    def _fit(self) -> None:
        """The shares of clients are parts of the room."""
        if self._shares is not None:
            self._shares.at_work_max = max(1, int(self._guard.room * self._share_max))
