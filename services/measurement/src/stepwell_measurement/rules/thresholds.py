"""What is known of a cut-off of a policy: what other values of it were seen to do, and what became of people near it.

What routing's simulation reports is read here; nothing in it, and nothing about outcomes, says what a change would
cause.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Resource = Mapping[str, Any]

REACH = 3
"""Scores on each side of a cut-off that are near it: a product default, less than any reliable change that ships."""

LEAST_PEOPLE = 30
"""People on each side below whom nothing is said: a product default, as a rate of fewer says next to nothing."""

ROUND_TO = 5
"""As routing's simulations round: two reviews of almost the same people hide the difference."""

SEPARATOR = "/"


class Tried(NamedTuple):
    """Which value of which parameter was tried, and which one was in force."""

    policy: str
    parameter: str
    value: int
    in_force: int

    @property
    def text(self) -> str:
        """As the identifier of the report says it."""
        return SEPARATOR.join((self.policy, self.parameter, str(self.value), str(self.in_force)))


class Load(NamedTuple):
    """What comes to a step: people a week, per cent of its places that are used, weeks of wait at the end."""

    step: str
    arrivals: float | None
    use: float | None = None
    wait_weeks: float | None = None


class Trial(NamedTuple):
    """What one value did with the people of a simulation. Where it `hides_moves`, more may have moved than it says:
    small groups are merged, and of those that share a step nobody can say who moved."""

    tried: Tried
    made: str
    start: str
    end: str
    is_synthetic: bool
    promises_broken: int
    steps: tuple[tuple[str, int], ...]
    more_care: int
    less_care: int
    loads: tuple[Load, ...]
    hides_moves: bool = False


def tried_of(text: str) -> Tried | None:
    """What an identifier says was tried; None for any other text."""
    parts = text.split(SEPARATOR)
    if len(parts) != 4 or not all(parts) or not all(each.isascii() and each.isdecimal() for each in parts[2:]):
        return None
    return Tried(parts[0], parts[1], int(parts[2]), int(parts[3]))


def trial_of(report: Resource, tried: Tried) -> Trial:
    """What a MeasureReport of routing's `$simulate` says. Raises ValueError for one that is none."""
    try:
        groups = {each["code"]["text"]: each for each in report["group"]}
        moves = [(_labels(each), _people(each)) for each in _strata(groups.get("moves", {}))]
        broken = groups["safety-promises-broken"]["population"][-1]["count"]
        return Trial(
            tried,
            str(report["date"]),
            str(report["period"]["start"])[:10],
            str(report["period"]["end"])[:10],
            any(tag.get("code") == "HTEST" for tag in report.get("meta", {}).get("tag", ())),
            int(broken),
            tuple((each["value"]["text"], _people(each)) for each in _strata(groups["proposed-steps"])),
            sum(many for labels, many in moves if _is_above(labels["proposed"], labels["present"])),
            sum(many for labels, many in moves if _is_above(labels["present"], labels["proposed"])),
            _loads(groups),
            any(many and _share_steps(labels) for labels, many in moves),
        )
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise ValueError("this is no report of a simulation") from error


def newest(trials: Iterable[Trial]) -> list[Trial]:
    """Of each value the newest trial, of the newest time that was looked at; in order of value."""
    found = sorted(trials, key=lambda each: each.made)
    if not found:
        return []
    last = found[-1]
    same = [each for each in found if (each.start, each.end, each.tried.in_force, each.is_synthetic)
            == (last.start, last.end, last.tried.in_force, last.is_synthetic)]  # fmt: skip
    by_value = {each.tried.value: each for each in same}
    return [by_value[value] for value in sorted(by_value)]


def first_score_above(tried: Tried) -> int:
    """The first score that the cut-off in force takes: a parameter `..._above` does not take its own value."""
    return tried.in_force + 1 if tried.parameter.endswith("_above") else tried.in_force


def instrument_of(tried: Tried, instruments: Sequence[str]) -> str | None:
    """The instrument whose score is cut: `phq9_tier_3_minimum` is about phq-9."""
    name = tried.parameter.partition("_")[0]
    return next((each for each in instruments if each.replace("-", "") == name), None)


def rounded(count: int) -> int:
    """A count as a review says it."""
    return ROUND_TO * round(count / ROUND_TO)


def _loads(groups: Mapping[str, Resource]) -> tuple[Load, ...]:
    use = {each["value"]["text"]: _score(each) for each in _strata(groups.get("use-of-places", {}))}
    waits: dict[str, tuple[int, float]] = {}
    for each in _strata(groups.get("wait", {})):
        labels = _labels(each)
        waits[labels["step"]] = max(waits.get(labels["step"], (0, 0.0)), (int(labels["week"]), _score(each)))
    return tuple(
        Load(step, _score(each), use.get(step), waits[step][1] if step in waits else None)
        for each in _strata(groups.get("arrivals-per-week", {}))
        for step in (each["value"]["text"],)
    )


def _is_above(one: str, other: str) -> bool:
    """Whether every step of one group is above every step of another. Codes of steps rise with their rank."""
    return min(one.split(" / ")) > max(other.split(" / "))


def _share_steps(labels: Mapping[str, str]) -> bool:
    """Whether some of these people may have moved, and others not."""
    present, proposed = labels["present"], labels["proposed"]
    if present == proposed:
        return " / " in present
    return not (_is_above(present, proposed) or _is_above(proposed, present))


def _strata(group: Resource) -> list[Resource]:
    return [stratum for each in group.get("stratifier", ()) for stratum in each.get("stratum", ())]


def _labels(stratum: Resource) -> dict[str, str]:
    return {each["code"]["text"]: each["value"]["text"] for each in stratum["component"]}


def _people(stratum: Resource) -> int:
    return int(stratum["population"][0]["count"])


def _score(stratum: Resource) -> float:
    return float(stratum["measureScore"]["value"])
