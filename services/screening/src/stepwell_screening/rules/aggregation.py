"""From the weights of a response to one score: what blanks do, how weights are turned and put together.

Each score definition is compiled once to a function of the facts of a response. Arithmetic is exact; only what was
divided is rounded, as the definition says.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from stepwell_screening.rules.bands import Band, Category, Remark
from stepwell_screening.rules.conditions import Facts, Value, always
from stepwell_screening.rules.definition import ScoreDefinition, Table
from stepwell_screening.rules.weights import Number, exact

Context = Mapping[str, str]
"""What else is known of the person or the place, such as {"sex": "female"}; picks among alternative bands."""
Turn = Callable[[Number], Number]
"""What an answer's weight counts in one score."""


class ScoreResult(NamedTuple):
    """One score and how it came about. `value` is None when too many items are blank, or it does not apply.

    `items_used` are the linkIds whose answers count; `missing` those that should have been answered. `prorated`: blanks
    were bridged. `at_least`: a classification that a blank leaves open is no milder than this. `standard_error` is that
    of a score which was estimated, on its own scale. Named tuple because one is made for every response.
    """

    score: ScoreDefinition
    value: Value
    band: Band | None
    items_answered: int
    items_total: int
    prorated: bool
    items_used: tuple[str, ...]
    missing: tuple[str, ...]
    applies: bool = True
    at_least: Band | None = None
    remarks: tuple[Remark, ...] = ()
    standard_error: Number | None = None

    @property
    def instrument(self) -> str:
        """Canonical and version of the Questionnaire whose items were scored."""
        return self.score.instrument


Compute = Callable[[Facts, Context | None], ScoreResult]


def compile_score(score: ScoreDefinition) -> Compute:
    """The function that makes this score."""
    if score.method == "classification":
        return _classification(score)
    if score.method == "profile":
        return _profile(score)
    if score.table is not None:
        return _table(score, score.table)
    return _numeric(score)


def _numeric(score: ScoreDefinition) -> Compute:
    items, total = score.item_link_ids, len(score.item_link_ids)
    every = frozenset(items)
    turns = {link_id: turn for link_id in items if (turn := _turn(score, link_id)) is not None}
    up_to, plain = score.missing.up_to, score.method == "sum"
    combine = _combination(score)
    remarks, applies = score.remarks, score.applies

    def counted(present: Mapping[str, Number]) -> Number:
        if not turns:
            return sum(present.values())
        return sum([turns[link](weight) if link in turns else weight for link, weight in present.items()])

    def compute(facts: Facts, context: Context | None) -> ScoreResult:
        weights = facts.weights
        present = weights if weights.keys() == every else {link: weights[link] for link in items if link in weights}
        used = tuple(present) if weights is facts.found else tuple(link for link in present if link in facts.found)
        missing = () if len(present) == total else tuple(link for link in items if link not in present)
        does_apply = applies is always or applies(facts) is not False
        value: Number | None = None
        if does_apply and present and len(missing) <= up_to:
            value = counted(present) if plain and not missing else combine(counted(present), len(present))
        facts.scores[score.id] = value
        return ScoreResult(
            score,
            value,
            None if value is None else score.band_for(value, context),
            len(used),
            total,
            value is not None and bool(missing),
            used,
            missing,
            does_apply,
            None,
            _said(remarks, facts) if remarks else (),
        )

    return compute


def _combination(score: ScoreDefinition) -> Callable[[Number, int], Number]:
    """Sum of what was answered, and of how many, to the score; blanks count as the mean of the rest."""
    decimals, down = score.decimals, score.missing.rounding == "down"
    factor = Fraction(1)
    if score.method == "sum":
        factor = Fraction(len(score.item_link_ids))
    elif score.method == "percentage":
        factor = 100 / Fraction(score.item_ranges[score.item_link_ids[0]][1])

    def combine(amount: Number, answered: int) -> Number:
        return rounded(Fraction(amount) / answered * factor, decimals, down=down)

    return combine


def _table(score: ScoreDefinition, table: Table) -> Compute:
    def compute(facts: Facts, context: Context | None) -> ScoreResult:
        raw = facts.scores.get(table.of)
        place = raw - table.first if isinstance(raw, int) else -1
        value = table.values[place] if 0 <= place < len(table.values) else None
        facts.scores[score.id] = value
        used, missing = _presence(score, facts)
        band = None if value is None else score.band_for(value, context)
        return ScoreResult(score, value, band, len(used), len(score.item_link_ids), False, used, missing)

    return compute


def _profile(score: ScoreDefinition) -> Compute:
    def compute(facts: Facts, _: Context | None) -> ScoreResult:
        used, missing = _presence(score, facts)
        digits = [str(facts.weights[link]) for link in score.item_link_ids if link in facts.weights]
        value = "".join(digits) if not missing else None
        facts.scores[score.id] = value
        return ScoreResult(score, value, None, len(used), len(score.item_link_ids), False, used, missing)

    return compute


def _classification(score: ScoreDefinition) -> Compute:
    def compute(facts: Facts, _: Context | None) -> ScoreResult:
        used, missing = _presence(score, facts)
        band, at_least = _first_that_holds(score.categories, facts)
        value = None if band is None else band.code
        facts.scores[score.id] = value
        said = _said(score.remarks, facts)
        total = len(score.item_link_ids)
        return ScoreResult(score, value, band, len(used), total, False, used, missing, True, at_least, said)

    return compute


def _first_that_holds(categories: Sequence[Category], facts: Facts) -> tuple[Band | None, Band | None]:
    """The category that is certain; else, where a blank leaves a stronger one open, the one that is the least."""
    open_before = False
    for category in categories:
        holds = category.when(facts)
        if holds:
            if not open_before:
                return category.band, None
            return None, category.band if category is not categories[-1] else None
        open_before = open_before or holds is None
    return None, None


def _presence(score: ScoreDefinition, facts: Facts) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The items that were answered, and those that should have been."""
    used = tuple(link for link in score.item_link_ids if link in facts.found)
    return used, tuple(link for link in score.item_link_ids if link not in facts.weights)


def _said(remarks: Sequence[Remark], facts: Facts) -> tuple[Remark, ...]:
    return tuple(remark for remark in remarks if remark.when(facts))


def _turn(score: ScoreDefinition, link_id: str) -> Turn | None:
    """What a weight of this item counts: recoded, then reversed; None when it counts as it is."""
    recodes = score.recodes.get(link_id, ())
    lower, upper = score.item_ranges[link_id]

    def recoded(weight: Number) -> Number:
        return next((row.value for row in recodes if row.lower <= weight <= row.upper), weight)

    if link_id in score.reversed_link_ids:
        return lambda weight: lower + upper - recoded(weight)
    return recoded if recodes else None


def rounded(value: Fraction, decimals: int, *, down: bool = False) -> Number:
    """To so many decimal places, half up or down to what is below; whole numbers as int."""
    scaled = value * 10**decimals
    whole = math.floor(scaled if down else scaled + Fraction(1, 2))
    number = exact(Decimal(whole).scaleb(-decimals))
    return whole if number is None else number
