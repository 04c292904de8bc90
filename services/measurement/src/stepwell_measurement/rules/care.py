"""When care ended, out of the episodes that routing tells of; the same in whatever order they are told."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from stepwell_measurement.rules.trajectory import Care


class Episode(NamedTuple):
    """One episode of care; without an end it goes on."""

    started_at: datetime
    ended_at: datetime | None


def care_of(episodes: Iterable[Episode]) -> Care:
    """The ends of care after which it began anew, and the end after which it did not.

    Episodes that overlap, such as two pathways at once, are one stretch of care: it ends with the last of them. One
    that ended as it began never was.
    """
    ends: list[datetime] = []
    until: datetime | None = None
    is_open = has_begun = False
    given = (each for each in episodes if each.ended_at is None or each.ended_at > each.started_at)
    for episode in sorted(given, key=lambda each: (each.started_at, each.ended_at is None, each.ended_at)):
        if has_begun and not is_open and until is not None and episode.started_at > until:
            ends.append(until)
            until = None
        has_begun = True
        is_open = is_open or episode.ended_at is None
        if episode.ended_at is not None:
            until = episode.ended_at if until is None else max(until, episode.ended_at)
    return Care(tuple(ends), None if is_open else until)
