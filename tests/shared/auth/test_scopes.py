"""SMART scopes v2: what is refused, what is granted, what is narrowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.auth.scopes import LETTERS, OPERATION_LETTERS, Scope, ScopeError, Scopes

EVERY_INTERACTION = {
    "create": "c",
    "read": "r",
    "vread": "r",
    "history-instance": "r",
    "update": "u",
    "patch": "u",
    "delete": "d",
    "search-type": "s",
    "search-system": "s",
    "history-type": "s",
    "history-system": "s",
}


@pytest.mark.parametrize(
    "text",
    [
        "openid",
        "system/Observation",
        "system/Observation.",
        "system/Observation.sr",
        "system/Observation.rr",
        "system/Observation.x",
        "system/Observation.rs?",
        "system/observation.rs",
        "System/Observation.rs",
        "other/Observation.rs",
        "system/*bservation.rs",
        "system/Observation.rs?category",
        "system/Observation.rs?category=",
        "system/Observation.rs?category:in=http://example.org/vs",
        "system/Observation.rs?patient.name=a",
        "system/Observation.rs?_has:Provenance:target:agent=a",
        "system/Observation.rs?_filter=code eq a",
        "system/Observation.reads",
    ],
)
def test_what_is_no_plain_smart_scope_is_refused(text: str) -> None:
    with pytest.raises(ScopeError):
        Scope.parse(text)


def test_ten_thousand_characters_of_scopes_are_refused() -> None:
    with pytest.raises(ScopeError):
        Scopes.parse("system/Observation.rs " * 500)


def test_no_scope_grants_nothing() -> None:
    assert not any(Scopes().permits("Observation", interaction) for interaction in EVERY_INTERACTION)
    with pytest.raises(LookupError):
        Scopes().filters("Observation", "r")


def test_an_unknown_interaction_is_granted_to_nobody() -> None:
    everything = Scopes.parse("system/*.cruds")
    assert not everything.permits("Observation", "$launch-rockets")
    assert not everything.permits("Observation", "")


@pytest.mark.parametrize(("interaction", "letter"), EVERY_INTERACTION.items())
def test_an_interaction_needs_its_letter_and_no_other(interaction: str, letter: str) -> None:
    others = LETTERS.replace(letter, "")
    assert Scopes.parse(f"system/Observation.{letter}").permits("Observation", interaction)
    assert not Scopes.parse(f"system/Observation.{others}").permits("Observation", interaction)
    assert not Scopes.parse(f"system/Patient.{letter}").permits("Observation", interaction)


@pytest.mark.parametrize(("operation", "letters"), OPERATION_LETTERS.items())
def test_an_operation_needs_all_of_its_letters(operation: str, letters: str) -> None:
    assert Scopes.parse(f"system/*.{letters}").permits("Measure", operation)
    for letter in letters:
        rest = LETTERS.replace(letter, "")
        assert not Scopes.parse(f"system/*.{rest}").permits("Measure", operation)


def test_a_search_over_every_type_needs_a_grant_on_every_type() -> None:
    assert not Scopes.parse("system/Observation.s system/Patient.s").permits("*", "search-system")
    assert Scopes.parse("system/*.s").permits("*", "search-system")


@pytest.mark.parametrize(("version_1", "version_2"), [("read", "rs"), ("write", "cud"), ("*", "cruds")])
def test_version_1_scopes_mean_their_version_2_letters(version_1: str, version_2: str) -> None:
    assert Scope.parse(f"user/Patient.{version_1}") == Scope.parse(f"user/Patient.{version_2}")


def test_a_narrowed_scope_tells_its_search() -> None:
    survey = "category=http://terminology.hl7.org/CodeSystem/observation-category|survey"
    scopes = Scopes.parse(f"system/Observation.rs?{survey} system/Observation.rs?code=a")
    assert scopes.filters("Observation", "r") == [survey, "code=a"]


def test_one_scope_without_a_filter_lifts_the_others() -> None:
    scopes = Scopes.parse("system/Observation.rs?code=a system/*.r")
    assert scopes.filters("Observation", "r") == []
    assert scopes.filters("Observation", "s") == ["code=a"]


@pytest.mark.parametrize(
    "requested",
    [
        "system/Observation.crus",
        "system/*.rs",
        "user/Observation.rs",
        "system/Patient.rs",
        "system/Condition.r",
        "system/Condition.rs?category=b",
    ],
)
def test_more_than_registered_is_missing(requested: str) -> None:
    registered = Scopes.parse("system/Observation.rs system/Condition.rs?category=a")
    assert registered.missing(Scopes.parse(requested)) == [Scope.parse(requested)]


@pytest.mark.parametrize(
    "requested",
    ["system/Observation.r", "system/Observation.rs?code=a", "system/Condition.s?category=a&code=b"],
)
def test_less_than_registered_is_covered(requested: str) -> None:
    registered = Scopes.parse("system/Observation.r system/Observation.s system/Condition.rs?category=a")
    assert registered.missing(Scopes.parse(requested)) == []


def test_an_intersection_grants_what_both_grant() -> None:
    registered = Scopes.parse("system/*.rs system/Task.cu?status=draft")
    requested = Scopes.parse("system/Observation.cruds system/Task.u")
    assert str(registered.intersection(requested)) == "system/Observation.rs system/Task.u?status=draft"


def test_scopes_of_other_kinds_in_a_token_grant_nothing() -> None:
    assert str(Scopes.understood("openid offline_access system/Patient.sr system/Patient.r")) == "system/Patient.r"


scope_texts = st.builds(
    lambda context, kind, letters, query: f"{context}/{kind}.{''.join(c for c in LETTERS if c in letters)}{query}",
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(["*", "Patient", "Observation"]),
    st.sets(st.sampled_from(LETTERS), min_size=1),
    st.sampled_from(["", "?code=a", "?category=x|y&code=a,b"]),
)


@given(scope_texts)
def test_a_scope_reads_back_as_it_was_written(text: str) -> None:
    assert str(Scope.parse(text)) == text


@given(st.lists(scope_texts, max_size=4), st.lists(scope_texts, min_size=1, max_size=3))
def test_an_intersection_is_never_more_than_either_side(ours: list[str], theirs: list[str]) -> None:
    registered, requested = Scopes.parse(" ".join(ours)), Scopes.parse(" ".join(theirs))
    both = registered.intersection(requested)
    assert registered.missing(both) == []
    assert requested.missing(both) == []


def test_an_analyst_reaches_nothing_that_says_who_somebody_is() -> None:
    personal = ["Patient", "RelatedPerson", "QuestionnaireResponse", "Observation", "Task", "ServiceRequest", "*"]
    analyst = ROLES["analyst"]
    assert not any(analyst.permits(kind, interaction) for kind in personal for interaction in EVERY_INTERACTION)
    assert analyst.permits("MeasureReport", "search-type")


def test_only_a_clinician_changes_a_tier_assignment_or_a_risk_level() -> None:
    changing = {name for name, scopes in ROLES.items() if scopes.permits("ServiceRequest", "update")}
    judging = {name for name, scopes in ROLES.items() if scopes.permits("RiskAssessment", "update")}
    assert changing == judging == {"clinician"}


def test_a_patient_acts_under_patient_scopes_and_changes_no_decision() -> None:
    patient = ROLES["patient"]
    assert {scope.context for scope in patient if scope.resource_type == "Observation"} == {"patient"}
    assert not any(patient.permits(kind, "update") for kind in ("Task", "ServiceRequest", "Patient", "Observation"))
