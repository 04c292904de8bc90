"""A scoring definition that does not hold together is refused when it is read, not when it is used."""

from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.definition import parse_definition


def changed(**changes: Any) -> dict[str, Any]:
    return {**data.scoring("phq-9"), **changes}


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        (changed(aggregate="mean"), "only sums"),
        (changed(itemLinkIds=["/44250-9", "/44250-9"]), "scored twice"),
        (changed(range={"lower": 0, "upper": 30}), "do not cover the range"),
        (changed(bands=data.scoring("phq-9")["bands"][1:]), "do not cover the range"),
        (changed(range={"lower": 0, "upper": "27"}), "needs numbers"),
        (
            changed(missing={"prorateUpTo": 2, "zeroWhenAbsentLinkIds": ["/44250-9"], "rounding": "half-up"}),
            "not defined",
        ),
        (changed(missing={"prorateUpTo": 0, "zeroWhenAbsentLinkIds": ["/x"], "rounding": "half-up"}), "is not scored"),
        (changed(missing={"prorateUpTo": 2, "zeroWhenAbsentLinkIds": [], "rounding": "down"}), "half up"),
    ],
)
def test_refuses_what_does_not_hold_together(definition: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_definition(definition)


@pytest.mark.parametrize("instrument", data.INSTRUMENTS)
def test_the_bands_cover_every_score_once(instrument: str) -> None:
    definition = parse_definition(data.scoring(instrument))
    for value in range(int(definition.lower), int(definition.upper) + 1):
        band = definition.band_for(value)
        assert band is not None
        assert [other for other in definition.bands if other.lower <= value <= other.upper] == [band]
