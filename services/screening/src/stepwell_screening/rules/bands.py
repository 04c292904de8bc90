"""What a score is called: severity bands, those for one sex or setting, single cut-offs, categories, remarks.

Thresholds of severity and screening, none of them a diagnosis. Each says where its numbers come from; those that
stand on general clinical knowledge alone are product defaults, for a site to confirm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepwell_screening.rules.conditions import Condition, always, parse_condition
from stepwell_screening.rules.weights import Number, exact


@dataclass(frozen=True, slots=True)
class Band:
    """A severity band, both bounds inclusive, in score points; the bounds of a category are None."""

    code: str
    display: str
    lower: Number | None
    upper: Number | None
    source: str
    product_default: bool


@dataclass(frozen=True, slots=True)
class AlternativeBands:
    """The bands that hold instead where `context` is so, such as {"sex": "female"} or {"setting": "specialist"}."""

    context: Mapping[str, str]
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class CutOff:
    """A single published threshold beside the bands: who used it, for what."""

    purpose: str
    at_least: Number | None
    at_most: Number | None
    source: str
    product_default: bool

    def met(self, value: Number) -> bool:
        """Whether a score reaches it."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True, slots=True)
class Category:
    """One outcome of a classification and when it holds; the first that does counts."""

    band: Band
    when: Condition


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader of the score should know when `when` holds, such as that a person should look at the answers."""

    code: str
    text: str
    when: Condition
    source: str
    product_default: bool


def parse_bands(rows: Sequence[Mapping[str, Any]], lower: Number, upper: Number, step: Number) -> tuple[Band, ...]:
    """Bands in ascending order, `step` apart; raises ValueError when they do not cover the range once."""
    bands = tuple(_band(row, number(row["lower"]), number(row["upper"])) for row in rows)
    if bands:
        edges = [lower, *(number(row["upper"]) + step for row in rows)]
        if edges[:-1] != [band.lower for band in bands] or edges[-1] != upper + step:
            raise ValueError("the bands do not cover the range once")
    return bands


def parse_cut_off(row: Mapping[str, Any]) -> CutOff:
    """Raises ValueError when it has no bound."""
    cut_off = CutOff(
        row["purpose"], exact(row.get("atLeast")), exact(row.get("atMost")), row["source"], _is_default(row)
    )
    if cut_off.at_least is None and cut_off.at_most is None:
        raise ValueError("a cut-off needs a bound")
    return cut_off


def parse_category(row: Mapping[str, Any]) -> Category:
    """A category without `when` holds whenever none before it does."""
    return Category(_band(row, None, None), parse_condition(row["when"]) if "when" in row else always)


def parse_remark(row: Mapping[str, Any]) -> Remark:
    """Raises like `parse_condition`."""
    return Remark(row["code"], row["text"], parse_condition(row["when"]), row["source"], _is_default(row))


def number(value: object) -> Number:
    """A bound of a definition; raises ValueError for anything but a number."""
    found = exact(value)
    if found is None:
        raise ValueError("a scoring definition needs numbers for its bounds")
    return found


def _band(row: Mapping[str, Any], lower: Number | None, upper: Number | None) -> Band:
    return Band(row["code"], row["display"], lower, upper, row["source"], _is_default(row))


def _is_default(row: Mapping[str, Any]) -> bool:
    return bool(row.get("productDefault", False))
