"""How often tokens may be asked for: per client that proved itself, and per address that failed to.

What is refused for its number costs no look at the database and no signature. Pure arithmetic: the time is given.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

# Product defaults. A client needs one token in five minutes per process of its own; a person at a terminal some more.
TOKENS_PER_MINUTE: Final = 120
# Whoever introspects asks about the tokens of many, and keeps the answers for seconds.
INTROSPECTIONS_PER_MINUTE: Final = 6_000
# What a misconfigured client may get wrong, and all of those together that share an address (a hospital, an ingress).
# As many as tokens: what is being looked at counts as refused, and the processes of one client may all start at once.
REFUSALS_OF_A_CLIENT_PER_MINUTE: Final = TOKENS_PER_MINUTE
REFUSALS_OF_AN_ADDRESS_PER_MINUTE: Final = 600
KEYS_MAX: Final = 10_000


class TooManyError(Exception):
    """More than is let in; `seconds` says when there is room for one again."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"there is room again in {seconds} seconds")


class Buckets:
    """A bucket per key that holds a minute's worth and fills again at that rate.

    Keys that were not touched for longest are forgotten, so that nobody makes the memory grow by inventing some.
    """

    def __init__(self, per_minute: float, keys_max: int = KEYS_MAX) -> None:
        self._capacity = per_minute
        self._per_second = per_minute / 60
        self._keys_max = keys_max
        self._levels: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def check(self, key: object, now: float) -> None:
        """Raises TooManyError when there is no room for one more."""
        if (missing := 1 - self._level(key, now)) > 0:
            raise TooManyError(max(1, math.ceil(missing / self._per_second)))

    def take(self, key: object, now: float, amount: float = 1) -> None:
        """Counts one; with -1 it is given back."""
        self._levels[key] = (min(self._capacity, self._level(key, now) - amount), now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._keys_max:
            self._levels.popitem(last=False)

    def admits(self, key: object, now: float) -> bool:
        """Counts one if there is room for it, and says whether there was."""
        if self._level(key, now) < 1:
            return False
        self.take(key, now)
        return True

    def _level(self, key: object, now: float) -> float:
        level, then = self._levels.get(key, (self._capacity, now))
        return min(self._capacity, level + max(0.0, now - then) * self._per_second)


@dataclass(frozen=True)
class Attempt:
    """One request that was let in, as a refusal until it turns out to be none."""

    address: str
    client_id: str
    now: float


@dataclass(frozen=True)
class ClientLimits:
    """The limits of one endpoint at which clients prove who they are, in one process."""

    successes: Buckets
    of_client: Buckets = field(default_factory=lambda: Buckets(REFUSALS_OF_A_CLIENT_PER_MINUTE))
    of_address: Buckets = field(default_factory=lambda: Buckets(REFUSALS_OF_AN_ADDRESS_PER_MINUTE))

    def begin(self, address: str, client_id: str, now: float) -> Attempt:
        """Lets a request in that says it comes from this client, or raises TooManyError.

        Refusals count for an address and what it claims to be: nobody else can use up what a client has, from its own
        address even less. It counts as refused from the start, so that a thousand at once are no way around it.
        """
        self.successes.check(client_id, now)
        self.of_client.check((address, client_id), now)
        self.of_address.check(address, now)
        self.of_client.take((address, client_id), now)
        self.of_address.take(address, now)
        return Attempt(address, client_id, now)

    def succeeded(self, attempt: Attempt) -> None:
        """The client proved itself: what was counted as refused is given back, and one is counted for it."""
        self.give_back(attempt)
        self.successes.take(attempt.client_id, attempt.now)

    def give_back(self, attempt: Attempt) -> None:
        """What is not the client's fault does not count."""
        self.of_client.take((attempt.address, attempt.client_id), attempt.now, -1)
        self.of_address.take(attempt.address, attempt.now, -1)
