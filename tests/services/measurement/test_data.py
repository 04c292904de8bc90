"""Promises of what measurement ships as data: sourced numbers, and none where no source gives one."""

import json
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from fhir.resources.R4B.codesystem import CodeSystem
from stepwell_measurement import data
from stepwell_measurement.rules.reliable_change import Change
from stepwell_shared.canonical import code_system

from tests.services.screening.rules.answering import DEFINITIONS
from tests.support.terminology import CODE_SYSTEMS


def instruments() -> dict[str, dict[str, Any]]:
    text = (files("stepwell_measurement.data") / "reliable_change.json").read_text(encoding="utf-8")
    return {row["instrument"]: row for row in json.loads(text)["instruments"]}


def test_an_unknown_instrument_has_no_parameters() -> None:
    with pytest.raises(KeyError):
        data.change_parameter_sets("phq-99")


def test_every_number_names_its_source() -> None:
    for row in instruments().values():
        named = ("caseness", "remission", "response", "important_change")
        facts = [row[key] for key in named if key in row] + row["parameter_sets"]
        assert all(len(fact["source"]) > 20 for fact in facts)
        assert row["parameter_sets"] or len(row["not_available"]) > 20


def test_every_repeated_measure_of_screening_has_parameters_under_the_code_of_its_score() -> None:
    screening = {
        (score.code["system"], score.code["code"]): not score.higher_is_better
        for definition in DEFINITIONS.values()
        for score in definition.scores
        if not score.categories
    }
    systems = data.score_systems()
    for code, parameters in data.trajectory_parameters().items():
        assert (
            screening.get((systems[code], code), parameters.change.higher_is_worse) is parameters.change.higher_is_worse
        )
    assert {"phq-9", "gad-7", "phq-15", "wsas", "peg", "isi", "pcs", "tsk-11", "pseq", "sss-8", "odi"} <= {
        parameters.change.instrument for parameters in data.trajectory_parameters().values()
    }


def test_a_number_without_a_primary_source_says_that_it_is_a_product_default() -> None:
    for row in instruments().values():
        for fact in [*row["parameter_sets"], *(each for each in row.values() if isinstance(each, dict))]:
            assert fact.get("product_default", False) is fact.get("source", "").startswith("Product default") or (
                "weak source" in fact["source"]
            )


@pytest.mark.parametrize(
    ("code", "threshold", "caseness", "remission"),
    [("44261-6", "6", "10", "5"), ("70274-6", "4", "8", "5"), ("70273-8", None, None, None)],
)
def test_the_defaults_are_the_published_ones(
    code: str, threshold: str | None, caseness: str | None, remission: str | None
) -> None:
    parameters = data.trajectory_parameters()[code]
    found = (parameters.change.threshold, parameters.caseness_at_least, parameters.remission_below)
    assert found == tuple(number and Decimal(number) for number in (threshold, caseness, remission))


def test_the_first_parameter_set_is_the_default() -> None:
    sets = data.change_parameter_sets("gad-7")
    assert list(sets) == ["nhs-talking-therapies", "bischoff-2020"]
    assert data.trajectory_parameters()["70274-6"].change == sets["nhs-talking-therapies"]


def test_a_site_may_give_its_own_deviation_and_reliability() -> None:
    own = {"id": "own", "standard_deviation": "7.5", "reliability": "0.80", "source": "Own population."}
    parameters = data.change_parameters(instruments()["phq-15"], own)
    assert parameters.threshold is not None
    # 1.96 x 4.7434 (Jacobson and Truax 1991, the example's S_diff unrounded)
    assert parameters.threshold.quantize(Decimal("0.001")) == Decimal("9.297")
    assert parameters.inclusive is False


def test_the_code_system_defines_every_code_of_a_result() -> None:
    system = CodeSystem.model_validate(CODE_SYSTEMS[code_system("reliable-change")])
    codes = [str(concept.code) for concept in system.concept or ()]
    wanted = {str(change) for change in Change if change is not Change.NOT_AVAILABLE}
    wanted |= {"change", "threshold", "threshold-inclusive", "none", "site"}
    for instrument in instruments():
        wanted |= {f"{instrument}-reliable-change", *data.change_parameter_sets(instrument)}
    assert sorted(codes) == sorted(wanted)
    assert system.url == code_system("reliable-change")
