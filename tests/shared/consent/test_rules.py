"""Promises of the rule of sharing: nothing is shared that cannot be checked, and a denial goes before a permission."""

from datetime import UTC, datetime
from typing import Any

import pytest
from stepwell_shared.consent.policy import parse_policy, shipped_policy
from stepwell_shared.consent.provisions import Coding, sharing_consent
from stepwell_shared.consent.rules import Actor, Decision, Kind, decide_sharing

from tests.support.consents import ACT_CODES, PURPOSES, coded, label, of_types, opt_in, provision, sharing

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
HUB, OTHER = "Organization/hub", "Organization/other"
MOTHER = "RelatedPerson/mother"
PHQ9 = Coding("http://loinc.org", "44261-6")
PSY = Coding(ACT_CODES, "PSY")

Resource = dict[str, Any]


def decided(
    *consents: Resource,
    actor: str = HUB,
    kind: Kind = Kind.OUTSIDE,
    type_: str = "Observation",
    labels: tuple[Coding, ...] = (),
    codes: tuple[Coding, ...] | None = (),
    purpose: str = "TREAT",
    now: datetime = NOW,
) -> Decision:
    read = [each for each in map(sharing_consent, consents) if each is not None]
    return decide_sharing(
        read,
        actor=Actor(kind, actor),
        purpose=purpose,
        resource_type=type_,
        security_labels=labels,
        codes=codes,
        now=now,
        policy=shipped_policy(),
    )


def is_permitted(*consents: Resource, **asked: Any) -> bool:
    return decided(*consents, **asked).permitted


@pytest.mark.parametrize("kind", [Kind.OUTSIDE, Kind.RELATED_PERSON])
def test_without_a_consent_nothing_is_shared_beyond_the_organisation(kind: Kind) -> None:
    found = decided(kind=kind)
    assert (found.permitted, found.rule) == (False, {"outside": "SHARE-OUTSIDE"}.get(kind, "SHARE-RELATED"))


def test_care_within_the_organisation_needs_no_consent_and_a_denial_is_still_a_denial() -> None:
    assert decided(kind=Kind.INSIDE, actor="Practitioner/dr-1").rule == "SHARE-CARE"
    denied = sharing("p1", provision("deny", "Practitioner/dr-1"))
    assert not is_permitted(denied, kind=Kind.INSIDE, actor="Practitioner/dr-1")


def test_no_denial_hides_what_concerns_safety_from_those_who_treat() -> None:
    found = decided(
        sharing("p1", provision("deny")), kind=Kind.INSIDE, actor="Practitioner/dr-1", type_="RiskAssessment"
    )
    assert (found.permitted, found.rule) == (True, "SHARE-SAFETY")
    assert not is_permitted(sharing("p1", provision("deny")), type_="RiskAssessment")


@pytest.mark.parametrize("kind", [Kind.OUTSIDE, Kind.RELATED_PERSON])
def test_no_permission_shows_others_the_messages_that_carry_a_persons_own_link(kind: Kind) -> None:
    found = decided(sharing("p1", provision("permit", HUB)), kind=kind, type_="Communication")
    assert (found.permitted, found.rule) == (False, "SHARE-OWN-MESSAGES")
    assert decided(kind=Kind.INSIDE, type_="Communication").permitted


def test_what_is_about_no_person_needs_no_consent() -> None:
    assert decided(type_="HealthcareService").rule == "SHARE-OPEN"


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error"])
def test_a_consent_that_is_not_active_permits_and_denies_nothing(status: str) -> None:
    assert decided({**opt_in("p1"), "status": status}).rule == "SHARE-OUTSIDE"
    denial = {**sharing("p1", provision("deny")), "status": status}
    assert is_permitted(opt_in("p1"), denial)


def test_a_consent_to_treatment_shares_nothing() -> None:
    scope = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "treatment"}]}
    assert not is_permitted({**opt_in("p1"), "scope": scope})


def test_one_denial_goes_before_any_permission_whatever_their_order() -> None:
    denied = sharing("p1", provision("deny", HUB))
    for consents in ([opt_in("p1"), denied], [denied, opt_in("p1")]):
        assert decided(*consents).rule == "SHARE-DENIED"
    assert is_permitted(opt_in("p1"), denied, actor=OTHER) is False  # OPTOUT holds where the provision does not
    only_hub = {**denied, "policyRule": {"text": "our policy"}}
    assert is_permitted(opt_in("p1"), only_hub, actor=OTHER)


def test_a_permission_says_which_consent_gave_it() -> None:
    found = decided(opt_in("p1"))
    assert (found.permitted, found.rule, found.consent) == (True, "SHARE-PERMITTED", "opt-in-p1")


def test_who_opts_out_can_make_exceptions_and_who_opts_in_too() -> None:
    out = sharing("p1", {"provision": [provision("permit", HUB)]})
    assert (is_permitted(out), is_permitted(out, actor=OTHER)) == (True, False)
    into = sharing("p1", {"provision": [provision("deny", HUB)]}, rule="OPTIN")
    assert (is_permitted(into), is_permitted(into, actor=OTHER)) == (False, True)


def test_a_root_without_a_type_says_when_the_base_policy_holds() -> None:
    framed = sharing("p1", {"period": {"end": "2026-11-21"}}, rule="OPTIN")
    assert [is_permitted(framed, now=each) for each in (NOW, NOW.replace(day=20))] == [False, True]
    assert not is_permitted(sharing("p1", {"dataPeriod": {"start": "2020"}}, rule="OPTIN"))


def test_exceptions_to_exceptions_are_heard_and_a_denial_beside_a_permission_wins() -> None:
    inner = provision("permit", classes=of_types("Observation"))
    middle = provision("deny", HUB, provision=[inner])
    deep = sharing("p1", {"type": "permit", "provision": [middle]})
    assert (is_permitted(deep), is_permitted(deep, type_="Task")) == (True, False)
    beside = sharing("p1", {"type": "permit", "provision": [provision("permit", HUB), provision("deny", HUB)]})
    assert not is_permitted(beside)


def test_a_related_person_sees_nothing_before_a_provision_names_them() -> None:
    asked: Resource = {"actor": MOTHER, "kind": Kind.RELATED_PERSON, "purpose": "FAMRQT"}
    assert decided(opt_in("p1"), **asked).rule == "SHARE-RELATED"
    assert is_permitted(sharing("p1", provision("permit", MOTHER)), **asked)
    assert not is_permitted(sharing("p1", provision("permit", "RelatedPerson/other")), **asked)
    outer = sharing("p1", provision("deny", MOTHER, provision=[provision("permit", classes=of_types("Observation"))]))
    assert (is_permitted(outer, **asked), is_permitted(outer, type_="Task", **asked)) == (True, False)


def test_a_custodian_who_is_named_is_permitted_nothing_and_denied_what_is_denied() -> None:
    assert not is_permitted(sharing("p1", provision("permit", HUB, role="CST")))
    assert not is_permitted(opt_in("p1"), sharing("p1", provision("deny", HUB, role="CST"), rule="OPTIN"))


@pytest.mark.parametrize("reference", ["Group/g", "CareTeam/c", "https://ehr.example/PractitionerRole/x"])
def test_a_collective_permits_nothing_and_denies_everybody(
    reference: str,
) -> None:
    assert not is_permitted(sharing("p1", provision("permit", reference)))
    assert not is_permitted(sharing("p1", provision("deny", reference), rule="OPTIN"))


def test_a_provision_holds_within_its_period_alone() -> None:
    period = {"start": "2026-11", "end": "2026-11-22"}
    consent = sharing("p1", provision("permit", HUB, period=period))
    before, last, after = (datetime(2026, *day, tzinfo=UTC) for day in ((10, 31, 23), (11, 22, 23), (11, 23, 0)))
    assert [is_permitted(consent, now=each) for each in (before, last, after)] == [False, True, False]
    yearly = sharing("p1", provision("permit", HUB, period={"start": "2026", "end": "2026"}))
    assert [is_permitted(yearly, now=each) for each in (NOW, datetime(2027, 1, 1, tzinfo=UTC))] == [True, False]
    end = "2026-11-22T10:00:00+01:00"
    to_the_second = sharing("p1", provision("permit", HUB, period={"end": end}))
    assert [is_permitted(to_the_second, now=each) for each in (NOW, NOW.replace(second=1))] == [True, False]


def test_a_purpose_of_another_kind_permits_nothing() -> None:
    def for_purpose(code: str, system: str = PURPOSES) -> Resource:
        return sharing("p1", provision("permit", HUB, purpose=[{"system": system, "code": code}]))

    assert is_permitted(for_purpose("TREAT"))
    assert not is_permitted(for_purpose("HRESCH"))
    assert not is_permitted(for_purpose("TREAT", "https://elsewhere.example"))
    denial = sharing(
        "p1", provision("deny", HUB, purpose=[{"system": "https://elsewhere.example", "code": "x"}]), rule="OPTIN"
    )
    assert not is_permitted(denial)


def test_an_action_that_is_no_sharing_permits_no_sharing() -> None:
    def with_action(code: str) -> Resource:
        system = "http://terminology.hl7.org/CodeSystem/consentaction"
        return sharing("p1", provision("permit", HUB, action=[coded(code, system)]))

    assert [is_permitted(with_action(each)) for each in ("access", "disclose", "collect")] == [True, True, False]


def test_a_class_limits_what_is_shared_to_its_types() -> None:
    consent = sharing("p1", provision("permit", HUB, classes=of_types("Task", "Appointment")))
    assert [is_permitted(consent, type_=each) for each in ("Task", "Observation")] == [True, False]
    unknown = [{"system": "urn:ietf:rfc:3986", "code": "http://hl7.org/fhir/StructureDefinition/bp"}]
    assert not is_permitted(sharing("p1", provision("permit", HUB, classes=unknown)))


def test_what_has_a_denied_label_stays_though_the_rest_is_shared() -> None:
    consent = sharing("p1", provision("permit", HUB, provision=[provision("deny", securityLabel=[label("PSY")])]))
    assert (is_permitted(consent), is_permitted(consent, labels=(PSY,))) == (True, False)


def test_what_has_a_denied_code_stays_and_so_does_what_cannot_be_compared() -> None:
    consent = sharing("p1", provision("permit", HUB, provision=[provision("deny", code=[coded("44261-6")])]))
    assert [is_permitted(consent, codes=each) for each in ((), (PHQ9,), None)] == [True, False, False]
    permitted = sharing("p1", provision("permit", HUB, code=[coded("44261-6")]))
    assert [is_permitted(permitted, codes=each) for each in ((), (PHQ9,), None)] == [False, True, False]
    in_words = sharing("p1", provision("permit", HUB, provision=[provision("deny", code=[{"text": "the scores"}])]))
    assert not is_permitted(in_words)


@pytest.mark.parametrize("condition", [{"dataPeriod": {"start": "2020"}}, {"data": [{"meaning": "instance"}]}])
def test_single_resources_and_times_of_data_permit_nothing_and_deny_everything(condition: Resource) -> None:
    assert not is_permitted(sharing("p1", provision("permit", HUB, **condition)))
    assert not is_permitted(sharing("p1", provision("deny", HUB, **condition), rule="OPTIN"))


def test_a_policy_that_forgets_a_kind_of_actor_is_not_taken() -> None:
    with pytest.raises(KeyError):
        parse_policy({"defaults": {}})
