"""The caller: nothing by default, narrowed as its scopes say, bound to its patient."""

from typing import Any

import pytest
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.fhir.outcome import Category, FhirError


def caller(scopes: str, tenant: str = "north", **known: Any) -> Caller:
    return Caller(tenant, f"{tenant}.ehr", Scopes.parse(scopes), "token-1", **known)


@pytest.mark.parametrize("tenant", ["north", "south"])
def test_what_is_not_granted_is_refused_with_the_scope_that_would_do(tenant: str) -> None:
    with pytest.raises(FhirError) as refused:
        caller("system/Patient.rs", tenant).require("Observation", "create")
    assert refused.value.category is Category.FORBIDDEN
    assert refused.value.headers == {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
    assert "system/Observation.c" in refused.value.issues[0].diagnostics


def test_filters_of_what_is_not_granted_are_a_refusal_and_never_empty() -> None:
    with pytest.raises(FhirError):
        caller("system/Patient.rs").filters("Observation", "read")


def test_a_patient_scope_without_a_patient_grants_nothing() -> None:
    with pytest.raises(FhirError):
        caller("patient/Observation.rs").require("Observation", "read")


def test_what_cannot_apply_filters_refuses_a_narrowed_grant() -> None:
    with pytest.raises(FhirError):
        caller("system/Observation.rs?code=a").require_unrestricted("Observation", "$lastn")
    caller("system/Observation.rs").require_unrestricted("Observation", "$lastn")


def test_an_operation_narrowed_in_two_ways_is_refused() -> None:
    with pytest.raises(FhirError):
        caller("system/Observation.r?code=a system/Observation.s?code=b").filters("Observation", "$export")


def test_a_granted_interaction_passes_without_restriction() -> None:
    granted = caller("system/Observation.rs")
    granted.require("Observation", "read")
    assert granted.filters("Observation", "search-type") == ()


def test_the_narrower_of_two_letters_counts_for_an_operation() -> None:
    assert caller("system/Observation.r system/Observation.s?code=b").filters("Observation", "$export") == ("code=b",)


def test_patient_scopes_are_bound_to_the_patient_of_the_token() -> None:
    bound = caller("patient/*.rs patient/Observation.rs?code=a", patient="p1")
    assert bound.filters("Patient", "read") == ("_id=p1",)
    assert bound.filters("Observation", "search-type") == ("patient=p1&code=a", "patient=p1")


def test_a_user_scope_beside_a_patient_scope_lifts_the_binding() -> None:
    both = caller("patient/Questionnaire.rs user/Questionnaire.rs", patient="p1", fhir_user="Patient/p1")
    assert both.filters("Questionnaire", "read") == ()


@pytest.mark.parametrize(
    ("known", "actor"),
    [
        ({}, None),
        ({"fhir_user": "Practitioner/dr-1"}, None),
        ({"fhir_user": "https://ehr.example/fhir/RelatedPerson/m"}, "https://ehr.example/fhir/RelatedPerson/m"),
        ({"fhir_user": "Organization/hub", "roles": ("clinician",)}, "Organization/hub"),
        ({"roles": ("related-person",)}, "nobody"),
        ({"roles": ("outside-organisation",), "fhir_user": "Practitioner/dr-1"}, "nobody"),
    ],
    ids=str,
)
def test_whoever_acts_for_somebody_else_is_known_by_role_or_person(known: dict[str, Any], actor: str | None) -> None:
    assert caller("system/*.rs", **known).actor == actor


def test_a_narrowed_caller_remembers_nothing_of_what_it_could_before() -> None:
    whole = caller("system/Patient.rs")
    assert whole.filters("Patient", "read") == ()
    narrowed = whole.narrowed_to(Scopes.parse("system/Patient.rs?_id=p1"))
    assert (narrowed.filters("Patient", "read"), narrowed.before_consent) == (("_id=p1",), whole)
    assert whole.filters("Patient", "read") == ()
