"""Which process dies when and how, and what the network does to each exchange: functions of the seed alone.

How the operating system then interleaves the processes is not ours to repeat; the faults are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from stepwell_shared.settings import SERVICES

from tests.support.proxy import NOTIFICATION, Choice, Fault

DATABASE = "postgresql"
PAUSE_SECONDS = (0.5, 3.0)
DOWN_SECONDS_MAX = 2.0
DATABASE_SHARE = 0.3
WHILE_STARTING_SHARE = 0.25
"""Of the kills of a service, those that do not wait until it answers again after the last one."""


class Manner(StrEnum):
    """How a process dies: SIGKILL, in each case."""

    SERVICE = "a service"
    CHILD = "one process of PostgreSQL, which then resets itself"
    POSTMASTER = "PostgreSQL's first process alone; the others notice"
    SERVER = "every process of PostgreSQL at once"


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: how long after the last one, whom, how, and for how long it stays away."""

    pause_seconds: float
    target: str
    manner: Manner
    down_seconds: float
    while_starting: bool
    child: int
    """Which of PostgreSQL's processes, modulo how many there are."""


def kills(seed: int) -> Iterator[Kill]:
    """Kills without end."""
    random = Random(f"{seed}/kills")
    while True:
        is_database = random.random() < DATABASE_SHARE
        target = DATABASE if is_database else random.choice(SERVICES)
        manner = random.choice((Manner.CHILD, Manner.POSTMASTER, Manner.SERVER)) if is_database else Manner.SERVICE
        yield Kill(
            pause_seconds=random.uniform(*PAUSE_SECONDS),
            target=target,
            manner=manner,
            down_seconds=random.uniform(0.0, DOWN_SECONDS_MAX),
            while_starting=random.random() < WHILE_STARTING_SHARE,
            child=random.randrange(1000),
        )


# Of a hundred exchanges, how many suffer what.
NOTIFICATION_SHARES = {
    Fault.DROP: 5,
    Fault.DROP_REPLY: 5,
    Fault.DELAY: 6,
    Fault.DUPLICATE: 6,
    Fault.STALE: 5,
    Fault.OVERTAKE: 6,
    Fault.CUT: 2,
    Fault.CUT_REPLY: 2,
    Fault.TRICKLE: 3,
}
REQUEST_SHARES = {
    Fault.DROP: 1,
    Fault.DROP_REPLY: 3,
    Fault.DELAY: 2,
    Fault.DUPLICATE: 2,
    Fault.CUT: 1,
    Fault.CUT_REPLY: 1,
    Fault.TRICKLE: 1,
}


@dataclass(frozen=True, slots=True)
class Faults:
    """A plan for fault proxies."""

    seed: int

    def __call__(self, link: str, kind: str, number: int) -> Choice:
        random = Random(f"{self.seed}/{link}/{kind}/{number}")
        shares = NOTIFICATION_SHARES if kind == NOTIFICATION else REQUEST_SHARES
        place = random.uniform(0, 100)
        for fault, share in shares.items():
            place -= share
            if place < 0:
                return Choice(fault, random.uniform(0.02, 0.6), random.randrange(1, 3000), random.randint(1, 3))
        return Choice()
