"""Chance that is the same everywhere: what is drawn follows from a text alone, on every machine and every Python."""

import math
import random
from collections.abc import Sequence
from itertools import accumulate
from statistics import NormalDist
from typing import Generic, TypeVar

Choice = TypeVar("Choice")
_NORMAL = NormalDist()


class Shares(Generic[Choice]):
    """What may be drawn, each with its share; the shares add up to one."""

    def __init__(self, shares: Sequence[tuple[Choice, float]]) -> None:
        """Raises ValueError when the shares do not add up."""
        self.choices = tuple(choice for choice, _ in shares)
        self.ends = tuple(accumulate(share for _, share in shares))
        if not shares or abs(self.ends[-1] - 1) > 1e-9:
            raise ValueError(f"the shares of {self.choices} do not add up to 1")


class Draw:
    """One stream of chance. Two with the same cause give the same, whatever is drawn elsewhere."""

    def __init__(self, *cause: object) -> None:
        self._random = random.Random("/".join(map(str, cause))).random  # noqa: S311  no secret: it must repeat itself

    def chance(self, share: float) -> bool:
        """Whether what happens in this share of cases happens."""
        return self._random() < share

    def one_of(self, shares: Shares[Choice]) -> Choice:
        """One of the choices, by their shares."""
        drawn = self._random()
        for choice, end in zip(shares.choices, shares.ends, strict=True):
            if drawn < end:
                return choice
        return shares.choices[-1]

    def whole(self, lowest: int, highest: int) -> int:
        """A whole number; both ends may come."""
        return lowest + int(self._random() * (highest - lowest + 1))

    def between(self, lowest: float, highest: float) -> float:
        """A number of an even distribution."""
        return lowest + self._random() * (highest - lowest)

    def log_normal(self, location: float, spread: float) -> float:
        """A number whose logarithm is normal; at least 0.01 and at most 99.99 of 100 are within what can come."""
        share = min(max(self._random(), 0.0001), 0.9999)
        return math.exp(location + spread * _NORMAL.inv_cdf(share))


def log_normal_through(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Location and spread of the log-normal distribution that has two given shares below two given values."""
    (low, low_share), (high, high_share) = points
    low_place, high_place = _NORMAL.inv_cdf(low_share), _NORMAL.inv_cdf(high_share)
    spread = (math.log(high) - math.log(low)) / (high_place - low_place)
    return math.log(low) - spread * low_place, spread
