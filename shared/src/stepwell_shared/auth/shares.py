"""How much of a process one client may take, so that the others are served whatever it does: requests and places.

It is asked on every request of a token, so that it is one look-up and some arithmetic; nothing is stored. Who has no
token takes no share: that is bounded for all together at the door. What cannot wait goes before all else of its client.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import structlog

from stepwell_shared.auth.caller import Caller
from stepwell_shared.fhir.outcome import Category, FhirError

# Our own services: what they ask for is bounded by what others ask of them, and others wait for it.
UNLIMITED_ROLE: Final = "service"
CLIENTS_MAX: Final = 10_000
# What cannot wait has so many places more, and beyond them waits for the next place of its client that is given back.
URGENT_PLACES: Final = 16
URGENT_WAITING_MAX: Final = 2048
# How long a token is known as one whose client has no room, and how many are.
SPENT_SECONDS: Final = 1.0
SPENT_MAX: Final = 1024

THROTTLED: Final = "this client asks for more than its share; Retry-After says when there is room again"

log = structlog.get_logger("stepwell.door")


class Share:
    """What one client takes now: requests that are being worked on, and what is left of its minute."""

    __slots__ = ("at_work", "entering", "left", "refused_at", "then", "waiting")

    def __init__(self, left: float, then: float) -> None:
        self.at_work = 0
        # let in at the gate, and not yet taken
        self.entering = 0
        self.left = left
        self.then = then
        self.refused_at = -math.inf
        self.waiting: deque[asyncio.Future[None]] = deque()

    def give_back(self) -> None:
        """One request is answered: what cannot wait has its place next."""
        while self.waiting:
            urgent = self.waiting.popleft()
            if not urgent.done():
                urgent.set_result(None)
                return
        self.at_work -= 1


class Shares:
    """The shares of all clients in one process.

    A client has a minute's worth of requests, which fills again at that rate, and so many places at a time.
    """

    def __init__(self, per_minute: int, at_work_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60
        self.at_work_max = at_work_max
        self._clock = clock
        self._shares: dict[tuple[str, str], Share] = {}
        self._unlimited = Share(math.inf, 0.0)
        self._told_at = -math.inf
        self._spent: dict[int, tuple[Share, Caller]] = {}
        self._spent_until = -math.inf

    def __len__(self) -> int:
        return len(self._shares)

    def take(self, caller: Caller) -> Share | None:
        """Counts one request of this client, for whoever gives it back once it is answered; None: no room for it."""
        if UNLIMITED_ROLE in caller.roles:
            share = self._unlimited
        else:
            share = self._of(caller)
            share.entering = 0  # whoever came in with it is counted by the end of this turn of the loop
            if not self._has_room(share):
                return None
            share.left -= 1
        share.at_work += 1
        return share

    async def take_first(self, caller: Caller, authorization: str | None = None) -> Share | None:
        """The same for what cannot wait: it is not refused as long as it can stand in line; None: the line is full.

        Its client is known by this header from now on (`spent`), so that what follows does not stand in others' room.
        """
        share = self._of(caller)
        self._note(share, caller, authorization)
        if share.at_work < self.at_work_max + URGENT_PLACES:
            share.at_work += 1
            return share
        if len(share.waiting) >= URGENT_WAITING_MAX:
            return None
        place = asyncio.get_running_loop().create_future()
        share.waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                share.give_back()
            raise
        return share

    def refusal(self, caller: Caller, authorization: str | None = None) -> FhirError:
        """What a client is told for which there is no room; the log hears of it once a second at most.

        Who comes with the same header again within a second is known by it (`spent`).
        """
        share = self._of(caller)
        self._note(share, caller, authorization)
        return self._refused(share, caller)

    def spent(self, authorization: bytes) -> FhirError | None:
        """What is said to whoever sends this header, when it was refused a moment ago and there is no room still."""
        known = self._spent.get(hash(authorization))
        if known is None:
            return None
        if self._has_room(known[0]):
            known[0].entering += 1
            return None
        return self._refused(*known)

    @property
    def has_spent(self) -> bool:
        """Whether anybody was refused for its share a moment ago."""
        if self._spent and (now := self._clock()) > self._spent_until:
            self._spent_until = now + SPENT_SECONDS
            for share, _ in self._spent.values():
                share.entering = 0
            since = now - SPENT_SECONDS
            self._spent = {key: known for key, known in self._spent.items() if known[0].refused_at > since}
        return bool(self._spent)

    def _note(self, share: Share, caller: Caller, authorization: str | None) -> None:
        """This client has no room now."""
        share.refused_at = self._clock()
        if authorization is not None and len(self._spent) < SPENT_MAX:
            if not self._spent:
                self._spent_until = share.refused_at + SPENT_SECONDS
            # Not the header itself: nothing keeps a token. The hash has a key of the process's own.
            self._spent[hash(authorization.encode("latin-1", "replace"))] = share, caller

    def _refused(self, share: Share, caller: Caller) -> FhirError:
        now = share.refused_at = self._clock()
        if now - self._told_at > 1:
            self._told_at = now
            log.warning("a client has no room left", tenant=caller.tenant, client=caller.client_id, status=429)
        seconds = 1 if share.left >= 1 else max(1, math.ceil((1 - share.left) / self._per_second))
        return _throttled(seconds)

    def _has_room(self, share: Share) -> bool:
        """Whether one more request of a client may be worked on; its minute is filled up to now."""
        now = self._clock()
        share.left = min(self._capacity, share.left + (now - share.then) * self._per_second)
        share.then = now
        return share.left >= 1 and share.at_work + share.entering < self.at_work_max

    def _of(self, caller: Caller) -> Share:
        return self._shares.get((caller.tenant, caller.client_id)) or self._new(caller)

    def _new(self, caller: Caller) -> Share:
        """The share of a client that is new here. Of too many the oldest begins anew: nobody can make clients up."""
        if len(self._shares) >= CLIENTS_MAX:
            del self._shares[next(iter(self._shares))]
        share = self._shares[caller.tenant, caller.client_id] = Share(self._capacity, self._clock())
        return share


@lru_cache(maxsize=256)
def _throttled(seconds: int) -> FhirError:
    """What is said beyond a share, with when to come again."""
    return FhirError(Category.THROTTLED, THROTTLED, headers={"Retry-After": str(seconds)})
