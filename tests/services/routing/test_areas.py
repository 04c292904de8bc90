"""Promises of the strata of an area: a class that an index gives it, and nothing that could point at somebody."""

from typing import Any

import pytest
from stepwell_routing.data.simulating import area_extensions
from stepwell_routing.rules.evidence import Evidence, EvidenceValue, RiskState
from stepwell_routing.use_cases.areas import NOT_RECORDED, area_strata

from tests.services.routing.rules.shipped import NOW

(DEPRIVATION,) = area_extensions()["deprivation"]
(RURALITY,) = area_extensions()["rurality"]


def patient(url: str, **value: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "extension": [{"url": url, **value}]}


@pytest.mark.parametrize(
    "value",
    [
        {"valueString": "12 Mill Lane, Smallville"},
        {"valueCoding": {"display": "quintile 1"}},
        {"valueCoding": {"code": "x" * 30}},
        {},
    ],
)
def test_what_is_no_class_is_not_recorded(value: dict[str, Any]) -> None:
    assert area_strata(patient(DEPRIVATION, **value))["deprivation"] == NOT_RECORDED


def test_the_class_of_an_area_is_its_stratum_wherever_the_patient_carries_it() -> None:
    coding = {"system": "https://index.example", "code": "1"}
    assert area_strata(patient(DEPRIVATION, valueCoding=coding))["deprivation"] == "1"
    address = {"resourceType": "Patient", "address": [{"extension": [{"url": RURALITY, "valueCode": "remote"}]}]}
    assert area_strata(address) == {"deprivation": NOT_RECORDED, "rurality": "remote"}


def test_what_people_said_stands_in_for_rurality_and_never_over_the_index() -> None:
    evidence = Evidence({"rural": EvidenceValue(True, NOW, "Observation/x")}, RiskState(), {})
    assert area_strata({}, evidence)["rurality"] == "rural"
    assert area_strata(patient(RURALITY, valueCode="urban"), evidence)["rurality"] == "urban"
