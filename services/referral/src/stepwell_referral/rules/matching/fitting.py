"""How the way a place works answers what a person needs: in which way they would meet, and what support that takes.

A barrier is answered by a way of meeting, by what the place gives, or by support that somebody arranges. It costs a
place points and never moves anybody to another tier: tiers are not known here.
"""

from dataclasses import dataclass

from stepwell_referral.rules.matching.needs import Need, Parameters, Remedy
from stepwell_referral.rules.matching.places import Profile

INTERPRETER = "interpreter"


@dataclass(frozen=True, slots=True)
class Fit:
    """One way of meeting at a place. `solved` says of each barrier by what (`modality`, `price`, `hours`, `language`,
    `accessibility` or the code of a support), `arranged` which support somebody arranges for which barrier."""

    modality: str
    is_wished: bool
    language: str
    solved: tuple[tuple[str, str], ...]
    arranged: tuple[tuple[str, str], ...]
    unmet_accessibility: tuple[str, ...]
    hours_fit: bool


def fit(need: Need, profile: Profile, modality: str, parameters: Parameters) -> Fit:
    """How a place of this profile answers the need when they meet in this way."""
    language = next((each for each in need.languages if each in profile.languages), "")
    unmet = tuple(each for each in need.accessibility if each not in profile.accessibility)
    solved: list[tuple[str, str]] = []
    arranged: list[tuple[str, str]] = []
    for barrier in need.barriers:
        remedy = parameters.remedies.get(barrier)
        if remedy is None:
            continue
        by = "modality" if modality in remedy.modalities else _given(need, profile, remedy, language, unmet, parameters)
        (solved if by else arranged).append((barrier, by or remedy.supports[0]))
    if need.interpreter and not language and "language" not in need.barriers:
        (solved if INTERPRETER in profile.supports else arranged).append(("language", INTERPRETER))
    return Fit(
        modality=modality,
        is_wished=modality in need.modalities,
        language=language,
        solved=tuple(solved),
        arranged=tuple(arranged),
        unmet_accessibility=unmet,
        hours_fit=not need.hours or not profile.hours or bool(need.hours & profile.hours),
    )


def _given(
    need: Need, profile: Profile, remedy: Remedy, language: str, unmet: tuple[str, ...], parameters: Parameters
) -> str:
    """By what a place answers a barrier in every way of meeting; "" when somebody must arrange support."""
    if remedy.by_language and language:
        return "language"
    if remedy.by_accessibility and need.accessibility and not unmet:
        return "accessibility"
    if profile.price in remedy.prices:
        return "price"
    if remedy.outside_work and profile.hours & ~parameters.work_hours:
        return "hours"
    return next((support for support in remedy.supports if support in profile.supports), "")
