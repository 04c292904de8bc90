"""A scoring definition: which items of which instrument make which scores, what blanks do, and what scores are called.

One definition per version of an instrument, read from `data/scoring`; it may hold a total, subscales, percentages,
table values, classifications and profiles side by side.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from stepwell_screening.rules.bands import (
    AlternativeBands,
    Band,
    Category,
    CutOff,
    Remark,
    number,
    parse_bands,
    parse_category,
    parse_cut_off,
    parse_remark,
)
from stepwell_screening.rules.conditions import Condition, always, link_ids_of, parse_condition, score_ids_of
from stepwell_screening.rules.weights import Number, OptionKey

NUMERIC = frozenset({"sum", "mean", "percentage", "table"})
METHODS = NUMERIC | {"classification", "profile"}
BRIDGES = frozenset({"prorate", "impute-mean", "leave-out"})
"""How blanks are bridged. All three come to the mean of what was answered; the word says how the source puts it."""
ROUNDINGS = frozenset({"half-up", "down"})


@dataclass(frozen=True, slots=True)
class SafetyItem:
    """An item whose answer weighing `positive_from` or more, or whose blank, asks for a clinician."""

    link_id: str
    positive_from: Number
    topic: str


@dataclass(frozen=True, slots=True)
class Missing:
    """What blanks do: `up_to` of them are bridged, more leave no score; what was made up is rounded."""

    up_to: int
    bridge: str
    rounding: str
    source: str
    product_default: bool


@dataclass(frozen=True, slots=True)
class Recode:
    """An answer from `lower` to `upper` counts as `value`."""

    lower: Number
    upper: Number
    value: Number


@dataclass(frozen=True, slots=True)
class Table:
    """Values looked up by another score of the instrument, from raw score `first` upward, one each."""

    of: str
    first: int
    values: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Skip:
    """Questions that count as `counts` when they are blank because `when` holds, as where a form does not ask them."""

    link_ids: tuple[str, ...]
    counts: Number
    when: Condition
    source: str


@dataclass(frozen=True, slots=True)
class ScoreDefinition:
    """One score of an instrument. `instrument` is the canonical with version whose items it is made of.

    `announced` scores go out as Observations; the others are for whoever asks. `applies` says whether the score is
    one for this response at all, such as a total over four items for those whom the fifth does not concern.
    """

    id: str
    instrument: str
    name: str
    code: Mapping[str, str]
    link_id: str | None
    method: str
    announced: bool
    item_link_ids: tuple[str, ...]
    item_ranges: Mapping[str, tuple[Number, Number]]
    reversed_link_ids: frozenset[str]
    recodes: Mapping[str, tuple[Recode, ...]]
    lower: Number
    upper: Number
    decimals: int
    unit: str
    higher_is_better: bool
    missing: Missing
    applies: Condition
    bands: tuple[Band, ...]
    alternative_bands: tuple[AlternativeBands, ...]
    cut_offs: tuple[CutOff, ...]
    categories: tuple[Category, ...]
    remarks: tuple[Remark, ...]
    table: Table | None

    def band_for(self, value: Number, context: Mapping[str, str] | None = None) -> Band | None:
        """The band of a score, by the bands of `context` where it has its own; None outside the range."""
        if not self.lower <= value <= self.upper:
            return None
        band = None
        for each in self.bands_in(context) if context else self.bands:
            if each.lower is None or value < each.lower:
                break
            band = each
        return band

    def bands_in(self, context: Mapping[str, str] | None) -> tuple[Band, ...]:
        """The bands of this sex, setting or profile, else those for everybody."""
        for each in self.alternative_bands if context else ():
            if each.context.items() <= (context or {}).items():
                return each.bands
        return self.bands


@dataclass(frozen=True, slots=True)
class ScoringDefinition:
    """How one version of one instrument is scored. `questionnaire` is the canonical with its version.

    `contexts` are what else about a person or place its bands depend on, such as `sex`.
    """

    id: str
    version: str
    name: str
    questionnaire: str
    band_system: str
    scores: tuple[ScoreDefinition, ...]
    skips: tuple[Skip, ...]
    not_applicable: frozenset[tuple[str, OptionKey]]
    answer_weights: Mapping[tuple[str, OptionKey], Number]
    condition_link_ids: tuple[str, ...]
    contexts: frozenset[str]
    safety_items: tuple[SafetyItem, ...]
    accepted_answers: Mapping[tuple[str, OptionKey], OptionKey]

    @property
    def item_link_ids(self) -> tuple[str, ...]:
        """Every item that a score is made of, once, in the order of the scores."""
        return tuple(dict.fromkeys(link_id for score in self.scores for link_id in score.item_link_ids))


def parse_definition(data: Mapping[str, Any]) -> ScoringDefinition:
    """Read a definition as shipped in `data/scoring`; raises ValueError or KeyError when it does not hold together."""
    try:
        scores = tuple(_score(row, data["questionnaire"]) for row in data["scores"])
        definition = ScoringDefinition(
            id=data["id"],
            version=data["version"],
            name=data["name"],
            questionnaire=data["questionnaire"],
            band_system=data["bandSystem"],
            scores=scores,
            skips=tuple(_skip(row) for row in data.get("skips", ())),
            not_applicable=frozenset(_option(row) for row in data.get("notApplicable", ())),
            answer_weights={_option(row): number(row["weight"]) for row in data.get("answerWeights", ())},
            condition_link_ids=tuple(dict.fromkeys(link for each in _conditions(data) for link in link_ids_of(each))),
            contexts=frozenset(name for each in scores for other in each.alternative_bands for name in other.context),
            safety_items=tuple(_safety_item(item) for item in data["safetyItems"]),
            accepted_answers={_option(row): (row["system"], row["meansCode"]) for row in data["acceptedAnswers"]},
        )
        _check(definition, data)
    except ValueError as error:
        raise ValueError(f"{data['id']}: {error}") from error
    return definition


def _score(row: Mapping[str, Any], instrument: str) -> ScoreDefinition:
    scale = row.get("range", {"lower": 0, "upper": 0})
    lower, upper = number(scale["lower"]), number(scale["upper"])
    decimals = scale.get("decimals", 0)
    step = number(scale.get("bandStep", Decimal(1).scaleb(-decimals)))
    items = tuple(row["itemLinkIds"])
    return ScoreDefinition(
        id=row["id"],
        instrument=instrument,
        name=row["name"],
        code=dict(row["code"]),
        link_id=row.get("linkId"),
        method=row["method"],
        announced=row.get("announced", True),
        item_link_ids=items,
        item_ranges={link_id: _item_range(row, link_id) for link_id in items},
        reversed_link_ids=frozenset(row.get("reversedLinkIds", ())),
        recodes={link_id: tuple(_recode(each) for each in rows) for link_id, rows in row.get("recodes", {}).items()},
        lower=lower,
        upper=upper,
        decimals=decimals,
        unit=row.get("unit", "{score}"),
        higher_is_better=row["higherIsBetter"],
        missing=_missing(row["missing"]),
        applies=parse_condition(row["when"]) if "when" in row else always,
        bands=parse_bands(row.get("bands", ()), lower, upper, step),
        alternative_bands=tuple(
            AlternativeBands(dict(each["context"]), parse_bands(each["bands"], lower, upper, step))
            for each in row.get("alternativeBands", ())
        ),
        cut_offs=tuple(parse_cut_off(each) for each in row.get("cutOffs", ())),
        categories=tuple(parse_category(each) for each in row.get("categories", ())),
        remarks=tuple(parse_remark(each) for each in row.get("remarks", ())),
        table=_table(row["table"]) if "table" in row else None,
    )


def _check(definition: ScoringDefinition, data: Mapping[str, Any]) -> None:
    known: set[str] = set()
    for score, row in zip(definition.scores, data["scores"], strict=True):
        _check_method(score)
        _check_items(score, definition)
        used = {id_ for each in _conditions_of(row) for id_ in score_ids_of(each)} - {score.id}
        if score.table is not None:
            used.add(score.table.of)
        if score.id in known or not used <= known:
            raise ValueError(f"{score.id} stands twice, or before a score that it is made of")
        known.add(score.id)
    codes = [(score.code["system"], score.code["code"]) for score in definition.scores]
    if len(set(codes)) != len(codes):
        raise ValueError("two scores have one code")


def _check_method(score: ScoreDefinition) -> None:
    if score.method not in METHODS:
        raise ValueError(f"{score.method} is no way to make a score")
    if score.missing.rounding not in ROUNDINGS or score.missing.bridge not in BRIDGES:
        raise ValueError("what was made up is rounded half up or down, and prorated, imputed or left out")
    if (score.method == "table") != (score.table is not None):
        raise ValueError("a table, and nothing else, needs table values")
    if (score.method == "classification") != bool(score.categories):
        raise ValueError("a classification, and nothing else, needs categories")
    if score.missing.up_to and score.method not in NUMERIC:
        raise ValueError("only numbers can be made up for blanks")


def _check_items(score: ScoreDefinition, definition: ScoringDefinition) -> None:
    items = set(score.item_link_ids)
    if len(items) != len(score.item_link_ids):
        raise ValueError("an item is scored twice")
    if not score.reversed_link_ids | score.recodes.keys() <= items:
        raise ValueError("an item that is reversed or recoded is not scored")
    if score.missing.up_to and any(items & set(skip.link_ids) for skip in definition.skips):
        raise ValueError("prorating beside items that may be skipped is not defined")
    if score.method == "percentage" and len(set(score.item_ranges.values())) != 1:
        raise ValueError("a percentage needs items of one range")


def _conditions(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every condition that a written definition holds."""
    for row in data["scores"]:
        yield from _conditions_of(row)
    yield from (row["when"] for row in data.get("skips", ()) if "when" in row)


def _conditions_of(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for each in (row, *row.get("categories", ()), *row.get("remarks", ())):
        if "when" in each:
            yield each["when"]


def _missing(row: Mapping[str, Any]) -> Missing:
    return Missing(
        up_to=row["upTo"],
        bridge=row.get("bridge", "prorate"),
        rounding=row.get("rounding", "half-up"),
        source=row["source"],
        product_default=row.get("productDefault", False),
    )


def _item_range(row: Mapping[str, Any], link_id: str) -> tuple[Number, Number]:
    bounds = row.get("itemRanges", {}).get(link_id) or row["itemRange"]
    return number(bounds["lower"]), number(bounds["upper"])


def _recode(row: Mapping[str, Any]) -> Recode:
    return Recode(number(row["lower"]), number(row["upper"]), number(row["value"]))


def _table(row: Mapping[str, Any]) -> Table:
    return Table(row["of"], row["first"], tuple(number(value) for value in row["values"]))


def _skip(row: Mapping[str, Any]) -> Skip:
    when = parse_condition(row["when"]) if "when" in row else always
    return Skip(tuple(row["linkIds"]), number(row["counts"]), when, row["source"])


def _safety_item(row: Mapping[str, Any]) -> SafetyItem:
    return SafetyItem(row["linkId"], number(row["positiveFrom"]), row["topic"])


def _option(row: Mapping[str, Any]) -> tuple[str, OptionKey]:
    return row["linkId"], (row["system"], row["code"])
