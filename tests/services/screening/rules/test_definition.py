"""A scoring definition that does not hold together is refused when it is read, not when it is used."""

from decimal import Decimal
from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.bands import Band
from stepwell_screening.rules.definition import ScoreDefinition, parse_definition
from stepwell_screening.rules.weights import Number

from tests.services.screening.rules.filling import DEFINITIONS, NAMES

ITEMS = data.scoring("phq-9")["scores"][0]["itemLinkIds"]
BANDS = data.scoring("phq-9")["scores"][0]["bands"]
SKIP = {"linkIds": ITEMS[:1], "counts": 0, "source": "a test"}
YES = {"code": "x", "display": "x", "source": "a test"}
LATER = {"score": "later", "atLeast": 1}


def changed(**changes: Any) -> dict[str, Any]:
    """PHQ-9's definition with another total."""
    definition = data.scoring("phq-9")
    definition["scores"][0] |= changes
    return definition


def missing(**changes: Any) -> dict[str, Any]:
    return changed(missing={**data.scoring("phq-9")["scores"][0]["missing"], **changes})


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        (changed(method="median"), "no way to make a score"),
        (changed(itemLinkIds=[ITEMS[0], ITEMS[0]]), "scored twice"),
        (changed(range={"lower": 0, "upper": 30}), "do not cover the range"),
        (changed(bands=BANDS[1:]), "do not cover the range"),
        (changed(range={"lower": 0, "upper": "27"}), "needs numbers"),
        (changed(alternativeBands=[{"context": {"sex": "female"}, "bands": BANDS[1:]}]), "do not cover the range"),
        (changed(cutOffs=[{"purpose": "x", "source": "a test"}]), "needs a bound"),
        (changed(when={"item": ITEMS[0]}), "needs a bound"),
        (changed(reversedLinkIds=["/x"]), "reversed or recoded is not scored"),
        (changed(recodes={"/x": []}), "reversed or recoded is not scored"),
        (changed(method="percentage", itemRanges={ITEMS[0]: {"lower": 0, "upper": 4}}), "items of one range"),
        (changed(method="table"), "needs table values"),
        (changed(method="classification"), "needs categories"),
        (changed(method="classification", categories=[YES]), "only numbers can be made up"),
        (changed(when=LATER), "before a score that it is made of"),
        (changed(id="algorithm"), "stands twice"),
        (changed(code=data.scoring("phq-9")["scores"][1]["code"]), "have one code"),
        (missing(rounding="up"), "half up or down"),
        (missing(bridge="guess"), "prorated, imputed or left out"),
        ({**data.scoring("phq-9"), "skips": [SKIP]}, "prorating beside items that may be skipped"),
    ],
)
def test_refuses_what_does_not_hold_together(definition: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"phq-9: .*{why}"):
        parse_definition(definition)


@pytest.mark.parametrize("name", NAMES)
def test_the_bands_cover_every_score_once(name: str) -> None:
    for score in DEFINITIONS[name].scores:
        for bands in (score.bands, *(each.bands for each in score.alternative_bands)):
            within = [[value for value in _values(score) if _holds(band, value)] for band in bands]
            assert all(within), "a band that no score falls into"
            assert not bands or sorted(value for values in within for value in values) == _values(score)


def _values(score: ScoreDefinition) -> list[Number]:
    """The scores that bands are written in: whole, but for means and T-scores."""
    step = 1 if score.decimals == 0 or score.method == "percentage" else Decimal("0.1")
    count = int((score.upper - score.lower) / step) + 1
    return [score.lower + step * number for number in range(count)]


def _holds(band: Band, value: Number) -> bool:
    return band.lower is not None and band.upper is not None and band.lower <= value <= band.upper
