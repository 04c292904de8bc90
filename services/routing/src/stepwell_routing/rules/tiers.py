"""The tiers of care that policies choose from: what each offers, as data in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stepwell_routing.rules.reading import DocumentError, Finding

Words = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Option:
    """One way to receive care at a step; the person chooses among them, knowing benefit, burden and likely time."""

    code: str
    display: Words
    plain: Words
    benefit: Words = field(default_factory=dict)
    burden: Words = field(default_factory=dict)
    timeline: Words = field(default_factory=dict)
    modalities: tuple[str, ...] = ()
    self_guided: bool = False
    definition: str | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """What one step offers: rank 1 is the first; `human` steps are never entered without a named clinician.

    `code` is one of the code system `system`: `tier` for the shared tiers, `step` for those of one pathway.
    """

    code: str
    rank: int
    human: bool
    display: Words
    service_code: str
    service: Words
    offer: Words
    options: tuple[Option, ...]
    system: str = "tier"


@dataclass(frozen=True, slots=True)
class TierCatalogue:
    """All tiers in order of rank; `canonical` is the base of the code systems that they are coded in."""

    canonical: str
    languages: frozenset[str]
    tiers: tuple[Tier, ...]

    def by_code(self, code: str) -> Tier | None:
        return next((tier for tier in self.tiers if tier.code == code), None)


def parse_tiers(document: Mapping[str, Any]) -> TierCatalogue:
    """Read `data/tiers.json`. Raises DocumentError when a text lacks a language or ranks have a gap."""
    languages = frozenset(document["languages"])
    tiers = tuple(_tier(entry) for entry in document["tiers"])
    findings = [
        Finding(f"tiers[{index}]", f"the words of {tier.code} are not in all of {', '.join(sorted(languages))}")
        for index, tier in enumerate(tiers)
        if any(set(words) != languages for words in _all_words(tier))
    ]
    if [tier.rank for tier in tiers] != list(range(1, len(tiers) + 1)):
        findings.append(Finding("tiers", "ranks run from 1 without a gap"))
    if len({tier.code for tier in tiers}) != len(tiers):
        findings.append(Finding("tiers", "a tier code occurs twice"))
    if findings:
        raise DocumentError(findings)
    return TierCatalogue(str(document["system"]).removesuffix("/CodeSystem/tier"), languages, tiers)


def _tier(entry: Mapping[str, Any]) -> Tier:
    options = tuple(_option(option) for option in entry["options"])
    service = entry["service"]
    return Tier(
        code=entry["code"],
        rank=entry["rank"],
        human=entry["human"],
        display=entry["display"],
        service_code=service["code"],
        service=service["display"],
        offer=entry["offer"],
        options=options,
    )


def _option(entry: Mapping[str, Any]) -> Option:
    return Option(
        code=entry["code"],
        display=entry["display"],
        plain=entry["plain"],
        benefit=entry.get("benefit", {}),
        burden=entry.get("burden", {}),
        timeline=entry.get("timeline", {}),
        modalities=tuple(entry.get("modalities", ())),
        self_guided=entry.get("selfGuided", False),
    )


def _all_words(tier: Tier) -> list[Words]:
    return [
        tier.display,
        tier.service,
        tier.offer,
        *(words for option in tier.options for words in (option.display, option.plain)),
        *(words for option in tier.options for words in (option.benefit, option.burden, option.timeline) if words),
    ]
