"""Hours of the week as bits: bit 0 is Monday from midnight to one o'clock. Local time of the place."""

import math
from collections.abc import Iterable

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def hours_between(days: Iterable[str], start: float, end: float) -> int:
    """Every hour that is touched from `start` to `end` o'clock on these days (all days when none is named).

    A time over midnight (22 to 6) goes on into the next day.
    """
    found = 0
    for name in tuple(days) or DAYS:
        first = DAYS.index(name) * 24
        last = end if end > start else end + 24
        for hour in range(math.floor(start), math.ceil(last)):
            found |= 1 << ((first + hour) % 168)
    return found
