"""What the way a place works costs in points, reckoned fast enough for thousands of places.

Each aspect of a profile is reckoned once for all places that share it: barriers are bits, and what answers them without
regard to the way of meeting is one mask. `fitting` says the same of one place in full; a test holds them to each other.
"""

from collections.abc import Iterable
from typing import NamedTuple

from stepwell_referral.rules.matching.fitting import INTERPRETER
from stepwell_referral.rules.matching.needs import OFTEN, Need, Parameters, Remedy
from stepwell_referral.rules.matching.places import Profile


class Ways(NamedTuple):
    """The best way of meeting with its points, and the best one to which nobody travels (None: there is none)."""

    points: float
    modality: str
    remote_points: float | None
    remote_modality: str


class Scorer:
    """The points of profiles for one person."""

    def __init__(self, need: Need, parameters: Parameters) -> None:
        self._need, self._parameters = need, parameters
        self._barriers = [barrier for barrier in need.barriers if barrier in parameters.remedies]
        self._remedies = [parameters.remedies[barrier] for barrier in self._barriers]
        self._all = (1 << len(self._barriers)) - 1
        self._order = {modality: rank for rank, modality in enumerate(parameters.modality_order)}
        self._languages: dict[tuple[frozenset[str], bool], tuple[float, int]] = {}
        self._accessibility: dict[frozenset[str], tuple[float, int]] = {}
        self._features: dict[frozenset[str], float] = {}
        self._given: dict[tuple[frozenset[str], str], int] = {}
        self._hours: dict[int, tuple[float, int]] = {}
        self._ways: dict[tuple[frozenset[str], int], Ways] = {}
        self._modality: dict[str, tuple[float, int]] = {}
        self._unsolved: dict[int, float] = {}

    def points(self, profile: Profile) -> tuple[float, Ways]:
        """Points that do not depend on the way of meeting, and the ways of meeting with theirs."""
        spoken = (profile.languages, INTERPRETER in profile.supports)
        language = self._languages.get(spoken) or self._keep_language(spoken)
        access = self._accessibility.get(profile.accessibility) or self._keep_access(profile.accessibility)
        hours = self._hours.get(profile.hours) or self._keep_hours(profile.hours)
        features = self._features.get(profile.features)
        if features is None:
            features = self._keep_features(profile.features)
        given = self._given.get((profile.supports, profile.price))
        if given is None:
            given = self._keep_given(profile.supports, profile.price)
        key = (profile.modalities, language[1] | access[1] | hours[1] | given)
        ways = self._ways.get(key)
        if ways is None:
            ways = self._ways[key] = self._reckoned(*key)
        return language[0] + access[0] + hours[0] + features, ways

    def _keep_language(self, spoken: tuple[frozenset[str], bool]) -> tuple[float, int]:
        languages, interprets = spoken
        cost = self._parameters.points
        rank = next((rank for rank, language in enumerate(self._need.languages) if language in languages), None)
        if rank is not None:
            found = (rank * cost["language-rank"], self._mask(remedy.by_language for remedy in self._remedies))
        else:
            found = (cost["interpreter" if interprets else "language"] if self._need.languages else 0.0, 0)
        self._languages[spoken] = found
        return found

    def _keep_access(self, offered: frozenset[str]) -> tuple[float, int]:
        unmet = sum(each not in offered for each in self._need.accessibility)
        met = bool(self._need.accessibility) and not unmet
        mask = self._mask(remedy.by_accessibility and met for remedy in self._remedies)
        found = self._accessibility[offered] = (unmet * self._parameters.points["accessibility"], mask)
        return found

    def _keep_hours(self, hours: int) -> tuple[float, int]:
        outside = bool(hours & ~self._parameters.work_hours)
        fits = not self._need.hours or not hours or bool(self._need.hours & hours)
        mask = self._mask(remedy.outside_work and outside for remedy in self._remedies)
        found = self._hours[hours] = (0.0 if fits else self._parameters.points["hours"], mask)
        return found

    def _keep_features(self, offered: frozenset[str]) -> float:
        missing = sum(each not in offered for each in self._need.features)
        found = self._features[offered] = missing * self._parameters.points["feature"]
        return found

    def _keep_given(self, supports: frozenset[str], price: str) -> int:
        def helps(remedy: Remedy) -> bool:
            return price in remedy.prices or not supports.isdisjoint(remedy.supports)

        found = self._given[supports, price] = self._mask(map(helps, self._remedies))
        return found

    def _reckoned(self, modalities: frozenset[str], solved: int) -> Ways:
        rows = sorted((*self._way(modality, solved), modality) for modality in modalities or ("",))
        remote = next((row for row in rows if row[2] in self._parameters.remote), None)
        best = rows[0]
        return Ways(best[0], best[2], None if remote is None else remote[0], "" if remote is None else remote[2])

    def _way(self, modality: str, solved: int) -> tuple[float, int]:
        known = self._modality.get(modality)
        if known is None:
            by = self._mask(modality in remedy.modalities for remedy in self._remedies)
            known = self._modality[modality] = (wish_points(self._need, modality, self._parameters), by)
        unsolved = self._all & ~(solved | known[1])
        if unsolved not in self._unsolved:
            self._unsolved[unsolved] = sum(
                barrier_points(self._need.barriers[barrier], self._parameters)
                for bit, barrier in enumerate(self._barriers)
                if unsolved >> bit & 1
            )
        return known[0] + self._unsolved[unsolved], self._order.get(modality, len(self._order))

    def _mask(self, answers: Iterable[bool]) -> int:
        return sum(1 << bit for bit, answered in enumerate(answers) if answered)


def wish_points(need: Need, modality: str, parameters: Parameters) -> float:
    """What it costs that a way of meeting is not the first one that was wished for, or none of them."""
    if not need.modalities:
        return 0.0
    if modality not in need.modalities:
        return parameters.points["modality"]
    return need.modalities.index(modality) * parameters.points["modality-rank"]


def barrier_points(frequency: str, parameters: Parameters) -> float:
    """What it costs that somebody must arrange support for a barrier."""
    return parameters.points["barrier-often" if frequency == OFTEN else "barrier-sometimes"]
