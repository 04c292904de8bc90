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

from tests.support.terminology import CODE_SYSTEMS


def instruments() -> dict[str, dict[str, Any]]:
    text = (files("stepwell_measurement.data") / "reliable_change.json").read_text(encoding="utf-8")
    return {row["instrument"]: row for row in json.loads(text)["instruments"]}


def test_an_unknown_instrument_has_no_parameters() -> None:
    with pytest.raises(KeyError):
        data.change_parameter_sets("phq-99")


def test_every_number_names_its_source() -> None:
    for row in instruments().values():
        facts = [row[key] for key in ("caseness", "remission") if key in row] + row["parameter_sets"]
        assert all(len(fact["source"]) > 20 for fact in facts)
        assert row["parameter_sets"] or len(row["not_available"]) > 20


def test_the_instruments_of_the_main_job_have_their_score_codes() -> None:
    assert {code: item.change.instrument for code, item in data.trajectory_parameters().items()} == {
        "44261-6": "phq-9",
        "70274-6": "gad-7",
        "70273-8": "phq-15",
    }


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
    wanted |= {"change", "threshold", "threshold-inclusive", "none"}
    for instrument in instruments():
        wanted |= {f"{instrument}-reliable-change", *data.change_parameter_sets(instrument)}
    assert sorted(codes) == sorted(wanted)
    assert system.url == code_system("reliable-change")
