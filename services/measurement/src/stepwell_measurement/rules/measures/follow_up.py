"""A rate never stands alone: beside it stands how many were followed up at all, and how far the missing could move it.

clinical.md section 4: follow-up completeness is shown beside every rate.
"""

from typing import NamedTuple

from stepwell_shared.proportions import Z95, Group, Interval, share_of


class FollowedRate(NamedTuple):
    """The share of those followed up who have the outcome (None when nobody was), and the share who were followed up.

    `lowest` and `highest` are the share of everybody eligible if none, or all, of the missing had the outcome: bounds
    that assume nothing about them (Manski 1989, J Hum Resour 24:343). None when nobody was eligible.
    """

    rate: Interval | None
    completeness: Interval | None
    followed: int
    eligible: int
    lowest: float | None
    highest: float | None


def followed_rate(having: int, followed: int, eligible: int, z: float = Z95) -> FollowedRate:
    """The rate of an outcome with its completeness.

    `having` of the `followed` have it; `followed` of the `eligible` were measured again. Raises ValueError when one is
    not part of the next.
    """
    if not 0 <= having <= followed <= eligible:
        raise ValueError("those with the outcome are part of those followed up, and these of those eligible")
    rate, completeness = share_of(Group(having, followed), z), share_of(Group(followed, eligible), z)
    if not eligible:
        return FollowedRate(rate, completeness, followed, eligible, None, None)
    highest = (having + eligible - followed) / eligible
    return FollowedRate(rate, completeness, followed, eligible, having / eligible, highest)
