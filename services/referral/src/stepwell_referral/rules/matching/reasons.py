"""Why a place is offered: codes with what they are about, and the same in plain words of each language."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stepwell_referral.rules.matching.fitting import INTERPRETER, Fit
from stepwell_referral.rules.matching.needs import Need
from stepwell_referral.rules.matching.places import FREE, Place


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for a place or that it needs help with: a rule code, and codes or numbers by name."""

    rule: str
    about: tuple[tuple[str, str], ...] = ()


def reasons_of(need: Need, place: Place, fit: Fit, way_minutes: int | None, *, too_far: bool) -> Iterator[Reason]:
    """The reasons but for the wait and for what is not known, the most important first."""
    yield Reason("MATCH-TIER" if need.tier else "MATCH-COMMUNITY")
    yield from _language(need, fit)
    if fit.modality:
        yield Reason("MATCH-MODALITY" if fit.is_wished else "MATCH-MEETING", (("modality", fit.modality),))
    for barrier, by in fit.solved:
        yield Reason("MATCH-BARRIER", (("barrier", barrier), ("by", by)))
    for barrier, support in fit.arranged:
        yield Reason("MATCH-SUPPORT", (("barrier", barrier), ("support", support)))
    for each in need.accessibility:
        open_question = each in fit.unmet_accessibility
        yield Reason("MATCH-ACCESS-OPEN" if open_question else "MATCH-ACCESS", (("access", each),))
    for feature in sorted(place.profile.features):
        yield Reason("MATCH-FEATURE", (("feature", feature),))
    if place.profile.price == FREE:
        yield Reason("MATCH-FREE")
    if way_minutes is not None:
        yield Reason("MATCH-FAR" if too_far else "MATCH-WAY", (("minutes", str(way_minutes)),))
    if need.hours:
        yield Reason("MATCH-HOURS" if fit.hours_fit else "MATCH-HOURS-OTHER")


def wait_reason(upper_days: int | None) -> Reason:
    """What is known of the wait."""
    return Reason("MATCH-WAIT-UNKNOWN") if upper_days is None else Reason("MATCH-WAIT", (("days", str(upper_days)),))


def in_words(reason: Reason, words: Mapping[str, Any]) -> str:
    """The reason as a sentence. `words` of one language has the sentences by rule code as `rules`, and names of codes
    by what they are of (`modality`, `barrier`, `support`, ...); a code without a name stands for itself."""
    named = {kind: words.get(kind, {}).get(code, code) for kind, code in reason.about}
    sentence: str = words["rules"][reason.rule]
    return sentence.format_map(named)


def _language(need: Need, fit: Fit) -> list[Reason]:
    if fit.language:
        return [Reason("MATCH-LANGUAGE", (("language", fit.language),))]
    if not need.languages:
        return []
    if any(support == INTERPRETER for _, support in fit.solved):
        return [Reason("MATCH-INTERPRETER-THERE", (("language", need.languages[0]),))]
    return [Reason("MATCH-INTERPRETER", (("language", need.languages[0]),))]
