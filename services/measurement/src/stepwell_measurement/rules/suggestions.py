"""Suggestions of people who do not say who they are: what is taken, how it may stand, and how many at a time."""

import unicodedata
from collections import deque
from datetime import datetime, timedelta

STATUSES = ("new", "read", "taken-up", "set-aside", "erased")
"""How a suggestion stands. One that is erased has lost its text, and stays so."""

NEW, TAKEN_UP, ERASED = STATUSES[0], STATUSES[2], STATUSES[4]
# Product defaults: a paragraph; more in a minute, or more that nobody has read, are no longer voices of people.
TEXT_MIN, TEXT_MAX = 3, 2000
PER_MINUTE_MAX, UNREAD_MAX = 10, 1000
FORM_LIVES = timedelta(hours=12)


def taken(text: str) -> str | None:
    """The text as it is kept, without control characters and the spaces around it; None for too short or too long."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    plain = "".join(letter for letter in lines if letter == "\n" or unicodedata.category(letter) not in {"Cc", "Cs"})
    kept = plain.strip()
    return kept if TEXT_MIN <= len(kept) <= TEXT_MAX else None


class Pace:
    """How many are taken in a minute, all senders together: to tell them apart would be to know who they are."""

    def __init__(self, most: int = PER_MINUTE_MAX) -> None:
        self._most = most
        self._taken: deque[datetime] = deque()

    def takes(self, now: datetime) -> bool:
        """Whether one more is taken now; it is counted if so."""
        while self._taken and now - self._taken[0] >= timedelta(minutes=1):
            self._taken.popleft()
        if len(self._taken) >= self._most:
            return False
        self._taken.append(now)
        return True
