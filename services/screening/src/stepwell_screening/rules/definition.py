"""A scoring definition: which items of which instrument add up, what blanks do, and how totals are banded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stepwell_screening.rules.weights import Number, OptionKey, exact


@dataclass(frozen=True, slots=True)
class Band:
    """A severity band, both bounds inclusive, in score points; a threshold, not a diagnosis."""

    code: str
    display: str
    lower: Number
    upper: Number
    source: str


@dataclass(frozen=True, slots=True)
class SafetyItem:
    """An item whose answer weighing `positive_from` or more, or whose blank, asks for a clinician."""

    link_id: str
    positive_from: Number
    topic: str


@dataclass(frozen=True, slots=True)
class ScoringDefinition:
    """How one version of one instrument is scored. `questionnaire` is the canonical with its version."""

    id: str
    version: str
    name: str
    questionnaire: str
    code: Mapping[str, str]
    band_system: str
    total_link_id: str
    item_link_ids: tuple[str, ...]
    lower: Number
    upper: Number
    prorate_up_to: int
    zero_when_absent: frozenset[str]
    bands: tuple[Band, ...]
    safety_items: tuple[SafetyItem, ...]
    accepted_answers: Mapping[tuple[str, OptionKey], OptionKey]

    def band_for(self, value: Number) -> Band | None:
        """The band of a score; None outside the instrument's range."""
        if not self.lower <= value <= self.upper:
            return None
        return next((band for band in reversed(self.bands) if value >= band.lower), None)


def parse_definition(data: Mapping[str, Any]) -> ScoringDefinition:
    """Read a definition as shipped in `data/scoring`; raises ValueError or KeyError when it does not hold together."""
    missing = data["missing"]
    definition = ScoringDefinition(
        id=data["id"],
        version=data["version"],
        name=data["name"],
        questionnaire=data["questionnaire"],
        code=dict(data["code"]),
        band_system=data["bandSystem"],
        total_link_id=data["totalLinkId"],
        item_link_ids=tuple(data["itemLinkIds"]),
        lower=_number(data["range"]["lower"]),
        upper=_number(data["range"]["upper"]),
        prorate_up_to=missing["prorateUpTo"],
        zero_when_absent=frozenset(missing["zeroWhenAbsentLinkIds"]),
        bands=tuple(_band(band) for band in data["bands"]),
        safety_items=tuple(_safety_item(item) for item in data["safetyItems"]),
        accepted_answers={
            (row["linkId"], (row["system"], row["code"])): (row["system"], row["meansCode"])
            for row in data["acceptedAnswers"]
        },
    )
    _check(definition, data)
    return definition


def _check(definition: ScoringDefinition, data: Mapping[str, Any]) -> None:
    if data["aggregate"] != "sum" or data["missing"]["rounding"] != "half-up":
        raise ValueError(f"{definition.id}: only sums, rounded half up, can be computed")
    if len(set(definition.item_link_ids)) != len(definition.item_link_ids):
        raise ValueError(f"{definition.id}: an item is scored twice")
    if definition.prorate_up_to and definition.zero_when_absent:
        raise ValueError(f"{definition.id}: prorating beside items that count zero when absent is not defined")
    if not definition.zero_when_absent <= set(definition.item_link_ids):
        raise ValueError(f"{definition.id}: an item that counts zero when absent is not scored")
    edges = [definition.lower, *(band.upper + 1 for band in definition.bands)]
    if edges[:-1] != [band.lower for band in definition.bands] or edges[-1] != definition.upper + 1:
        raise ValueError(f"{definition.id}: the bands do not cover the range once")


def _band(data: Mapping[str, Any]) -> Band:
    return Band(data["code"], data["display"], _number(data["lower"]), _number(data["upper"]), data["source"])


def _safety_item(data: Mapping[str, Any]) -> SafetyItem:
    return SafetyItem(data["linkId"], _number(data["positiveFrom"]), data["topic"])


def _number(value: object) -> Number:
    number = exact(value)
    if number is None:
        raise ValueError("a scoring definition needs numbers for its bounds")
    return number
