"""Who may come to a place: what it asks of a person, its area, and who there has the competence that it needs now."""

from collections.abc import Iterable

from stepwell_referral.rules.matching.needs import Need
from stepwell_referral.rules.matching.places import Eligibility, Place, Span

NOT_SAID = frozenset({None, "", "unknown", "other"})


def refusal(need: Need, place: Place, moment: float) -> str:
    """Why this place is out of the question, as a rule code; "" when it is not. `moment` in seconds since 1970."""
    if place.eligibility or place.areas or place.competences_required:
        return _unfit(need, place) or _unfit_for(need, place, moment)
    return _unfit(need, place)


def _unfit(need: Need, place: Place) -> str:
    """Why the place as such is not what is looked for."""
    if not place.active:
        return "MATCH-OUT-CLOSED"
    if place.place_id in need.declined:
        return "MATCH-OUT-DECLINED"
    if need.programme and need.programme not in place.programmes:
        return "MATCH-OUT-PROGRAMME"
    if need.specialty and need.specialty not in place.specialties:
        return "MATCH-OUT-SPECIALTY"
    return "" if need.helps_with <= place.helps_with else "MATCH-OUT-NEED"


def _unfit_for(need: Need, place: Place, moment: float) -> str:
    """Why this person is not whom the place is for, or why it is for nobody at this moment."""
    for each in place.eligibility:
        code = _refused_by(need, each)
        if code:
            return code
    if place.areas and all(area.has(need.address) is False for area in place.areas):
        return "MATCH-OUT-AREA"
    if place.competences_required and lapsed_competence(place, moment) is not None:
        return "MATCH-OUT-COMPETENCE"
    return ""


def unanswered(need: Need, place: Place) -> tuple[str, ...]:
    """What a place asks of a person that is not known of them: age, sex, condition, area."""
    asked = {
        "age": need.age is None
        and any(each.age_low is not None or each.age_high is not None for each in place.eligibility),
        "sex": need.sex in NOT_SAID and any(each.sexes for each in place.eligibility),
        "condition": need.conditions is None and any(each.conditions for each in place.eligibility),
        "area": bool(place.areas) and not any(area.has(need.address) for area in place.areas),
    }
    return tuple(name for name, is_open in asked.items() if is_open)


def lapsed_competence(place: Place, moment: float) -> str | None:
    """A competence that the place needs and that nobody there has at this moment."""
    for code in sorted(place.competences_required):
        if not _covers(place.competences.get(code, ()), moment):
            return code
    return None


def _asks_age(asked: Eligibility) -> bool:
    return asked.age_low is not None or asked.age_high is not None


def _covers(spans: Iterable[Span], moment: float) -> bool:
    return any(start <= moment < end for start, end in spans)


def _refused_by(need: Need, asked: Eligibility) -> str:
    if need.age is not None:
        oldest = need.age if asked.age_high is None else asked.age_high
        if not (asked.age_low or 0) <= need.age <= oldest:
            return "MATCH-OUT-AGE"
    # Where the record says neither female nor male, the place is asked; nobody is turned away by a code.
    if asked.sexes and need.sex not in NOT_SAID and need.sex not in asked.sexes:
        return "MATCH-OUT-SEX"
    if asked.conditions and need.conditions is not None and not asked.conditions & need.conditions:
        return "MATCH-OUT-CONDITION"
    return ""
