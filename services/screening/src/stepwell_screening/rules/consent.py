"""What a Consent must say to be kept: about sharing what every service can honour, about treatment what was agreed.

What could not be compared is refused here, because a permission that nobody can check would be no promise.
https://hl7.org/fhir/R4/consent.html
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from stepwell_screening.rules.finding import Finding

SHARING, TREATMENT = "patient-privacy", "treatment"
WITHDRAWN = frozenset({"inactive", "rejected", "entered-in-error"})
TREATMENT_OPTION = "https://stepwell.health/fhir/StructureDefinition/treatment-option"
QUESTION_PERIOD = "https://stepwell.health/fhir/StructureDefinition/question-period"
PROVISION_DEPTH_MAX = 4

_KNOWN_SYSTEMS = {
    "purpose": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "class": "http://hl7.org/fhir/resource-types",
}
_ACTIONS = "http://terminology.hl7.org/CodeSystem/consentaction"
_COLLECTIVE = frozenset({"Group", "CareTeam", "PractitionerRole"})

Json = Mapping[str, Any]


def check_consent(consent: Json, before: Json | None) -> list[Finding]:
    """What speaks against keeping this Consent, as the first version or after `before`."""
    return [*_about_all(consent), *_about_succession(consent, before), *_about_scope(consent)]


def scope_of(consent: Json) -> str:
    """`patient-privacy`, `treatment`, or nothing for a scope that is not kept here."""
    codes = [str(coding.get("code")) for coding in consent.get("scope", {}).get("coding", ())]
    return next((code for code in codes if code in {SHARING, TREATMENT}), "")


def _about_all(consent: Json) -> Iterator[Finding]:
    if not scope_of(consent):
        text = f"Consents to sharing ({SHARING}) and to treatment ({TREATMENT}) are kept here."
        yield Finding("business-rule", text, "Consent.scope")
    if "patient" not in consent:
        yield Finding("required", "Say whose Consent this is.", "Consent.patient")
    if consent.get("status") == "active" and "dateTime" not in consent:
        yield Finding("required", "Say when the Consent was given.", "Consent.dateTime")


def _about_succession(consent: Json, before: Json | None) -> Iterator[Finding]:
    if before is None:
        return
    was, now = str(before.get("status")), str(consent.get("status"))
    if was in WITHDRAWN and now not in {was, "entered-in-error"}:
        yield Finding("business-rule", f"A Consent that is {was} stays so; a new one is given.", "Consent.status")
    if scope_of(before) != scope_of(consent):
        yield Finding("business-rule", "A Consent keeps its scope; give a new one.", "Consent.scope")


def _about_scope(consent: Json) -> Iterator[Finding]:
    if scope_of(consent) == SHARING and "provision" in consent:
        yield from _about_provision(consent["provision"], "Consent.provision", 1)
    elif scope_of(consent) == TREATMENT:
        yield from _about_treatment(consent)


def _about_provision(provision: Json, place: str, depth: int) -> Iterator[Finding]:
    if depth > PROVISION_DEPTH_MAX:
        yield Finding("too-costly", f"Provisions stand in at most {PROVISION_DEPTH_MAX} levels.", place)
        return
    if depth > 1 and "type" not in provision:
        yield Finding("required", "An exception says deny or permit.", f"{place}.type")
    for name in ("data", "dataPeriod"):
        if name in provision:
            text = "Single resources and times of data are not compared here; use class, code or security labels."
            yield Finding("not-supported", text, f"{place}.{name}")
    for name, system in _KNOWN_SYSTEMS.items():
        if any(coding.get("system") != system for coding in provision.get(name, ())):
            yield Finding("not-supported", f"Only codes of {system} are compared here.", f"{place}.{name}")
    for action in provision.get("action", ()):
        if any(coding.get("system") != _ACTIONS for coding in action.get("coding", [{}])):
            yield Finding("not-supported", f"Only codes of {_ACTIONS} are compared here.", f"{place}.action")
    if any(not concept.get("coding") for concept in provision.get("code", ())):
        yield Finding("not-supported", "A code without a coding is not compared here.", f"{place}.code")
    for index, actor in enumerate(provision.get("actor", ())):
        yield from _about_actor(actor, f"{place}.actor[{index}]")
    for index, exception in enumerate(provision.get("provision", ())):
        yield from _about_provision(exception, f"{place}.provision[{index}]", depth + 1)


def _about_actor(actor: Json, place: str) -> Iterator[Finding]:
    address = str(actor.get("reference", {}).get("reference", ""))
    if not address or address.rpartition("/")[0].rpartition("/")[2] in _COLLECTIVE:
        text = "Name each actor by a reference: who belongs to a group or a role is not known here."
        yield Finding("not-supported", text, f"{place}.reference")


def _about_treatment(consent: Json) -> Iterator[Finding]:
    extensions = consent.get("extension", ())
    options = [each for each in extensions if each.get("url") == TREATMENT_OPTION]
    if not options or any("valueCodeableConcept" not in each for each in options):
        text = f"Say which treatment was offered: {TREATMENT_OPTION} with a valueCodeableConcept."
        yield Finding("required", text, "Consent.extension")
    codings = consent.get("policyRule", {}).get("coding", ())
    has_version = any("system" in each and "version" in each for each in codings)
    if not has_version and "sourceReference" not in consent and "sourceAttachment" not in consent:
        text = "Say which text was agreed to: a policyRule coding with its version, or the source."
        yield Finding("required", text, "Consent.policyRule")
    asked = [each for each in extensions if each.get("url") == QUESTION_PERIOD]
    yield from _about_questions(consent, [each["valuePeriod"] for each in asked if "valuePeriod" in each])


def _about_questions(consent: Json, periods: list[Json]) -> Iterator[Finding]:
    """The time for questions comes before the answer. How long it is is not for this rule."""
    if len(periods) > 1:
        yield Finding("business-rule", "The time for questions is one period.", "Consent.extension")
    if consent.get("status") != "active":
        return
    if not periods or not {"start", "end"} <= periods[0].keys():
        text = f"Say when there was time for questions: {QUESTION_PERIOD} with start and end."
        yield Finding("required", text, "Consent.extension")
    elif "dateTime" in consent and _first(consent["dateTime"]) < _first(periods[0]["end"])[: len(consent["dateTime"])]:
        yield Finding("business-rule", "Consent is given after the time for questions.", "Consent.dateTime")


def _first(text: str) -> str:
    """A FHIR dateTime in UTC, so that those of one precision compare as texts."""
    if len(text) <= 10:
        return text
    return datetime.fromisoformat(text).astimezone(UTC).isoformat()
