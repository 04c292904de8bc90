"""How much of a process one client may take, so that the others are served whatever it does: requests and places.

It is asked on every request of a token, so that it is one look-up and some arithmetic; nothing is stored. Who has no
token takes no share: that is bounded for all together at the door.
"""

import math
import time
from collections.abc import Callable
from typing import Final

import structlog

from stepwell_shared.auth.caller import Caller
from stepwell_shared.fhir.outcome import Category, FhirError

# Our own services: what they ask for is bounded by what others ask of them, and others wait for it.
UNLIMITED_ROLE: Final = "service"
CLIENTS_MAX: Final = 10_000

log = structlog.get_logger("stepwell.door")


class Share:
    """What one client takes now: requests that are being worked on, and what is left of its minute."""

    __slots__ = ("at_work", "left", "then")

    def __init__(self, left: float, then: float) -> None:
        self.at_work = 0
        self.left = left
        self.then = then


class Shares:
    """The shares of all clients in one process.

    A client has a minute's worth of requests, which fills again at that rate, and so many places at a time.
    """

    def __init__(self, per_minute: int, at_work_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60
        self._at_work_max = at_work_max
        self._clock = clock
        self._shares: dict[tuple[str, str], Share] = {}
        self._unlimited = Share(math.inf, 0.0)
        self._told_at = -math.inf

    def __len__(self) -> int:
        return len(self._shares)

    def take(self, caller: Caller) -> Share | None:
        """Counts one request of this client, for whoever lowers `at_work` once it is answered; None: no room for it."""
        if UNLIMITED_ROLE in caller.roles:
            share = self._unlimited
        else:
            share = self._shares.get((caller.tenant, caller.client_id)) or self._new(caller)
            now = self._clock()
            left = min(self._capacity, share.left + (now - share.then) * self._per_second)
            share.then = now
            if left < 1 or share.at_work >= self._at_work_max:
                share.left = left
                return None
            share.left = left - 1
        share.at_work += 1
        return share

    def take_anyway(self, caller: Caller) -> Share:
        """The same for what cannot wait: it counts, and is not refused."""
        share = self._shares.get((caller.tenant, caller.client_id)) or self._new(caller)
        share.at_work += 1
        return share

    def refusal(self, caller: Caller) -> FhirError:
        """What a client is told for which there is no room; the log hears of it once a second at most."""
        share = self._shares.get((caller.tenant, caller.client_id)) or self._new(caller)
        now = self._clock()
        if now - self._told_at > 1:
            self._told_at = now
            log.warning("a client has no room left", tenant=caller.tenant, client=caller.client_id, status=429)
        if share.left >= 1:
            text, seconds = f"{share.at_work} requests of this client are being worked on; try again shortly", 1
        else:
            text = "this client asks more often than it may; Retry-After says when there is room again"
            seconds = max(1, math.ceil((1 - share.left) / self._per_second))
        return FhirError(Category.THROTTLED, text, headers={"Retry-After": str(seconds)})

    def _new(self, caller: Caller) -> Share:
        """The share of a client that is new here. Of too many the oldest begins anew: nobody can make clients up."""
        if len(self._shares) >= CLIENTS_MAX:
            del self._shares[next(iter(self._shares))]
        share = self._shares[caller.tenant, caller.client_id] = Share(self._capacity, self._clock())
        return share
