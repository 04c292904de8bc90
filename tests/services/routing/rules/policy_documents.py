"""Small policies of both kinds of ladder, written short, to try what the engine makes of each effect."""

import copy
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from stepwell_routing.rules.decisions import Decision, Evidence, EvidenceValue, RiskState, decide
from stepwell_routing.rules.evidence_names import known
from stepwell_routing.rules.policies import Policy, parse_policy
from stepwell_routing.rules.series import Measure

from tests.services.routing.rules.shipped import CATALOGUE, NOW

Document = dict[str, Any]
C = "https://stepwell.health/fhir"
NO_RISK = RiskState()
_DURATION = {"system": "http://unitsofmeasure.org", "unit": "d", "code": "d"}
_VALUES = {bool: "valueBoolean", int: "valueInteger", dict: "valueCoding", str: "valueString"}


def days(number: int) -> Document:
    return {**_DURATION, "value": number}


def extension(name: str, *parts: tuple[str, Any]) -> Document:
    """An extension of ours with these parts; a mapping with a `value` is a duration."""
    found = []
    for url, value in parts:
        key = "valueDuration" if isinstance(value, dict) and "value" in value else _VALUES[type(value)]
        found.append({"url": url, key: value})
    return {"url": f"{C}/StructureDefinition/{name}", "extension": found}


def coded(system: str, code: str) -> list[Document]:
    return [{"coding": [{"system": f"{C}/CodeSystem/{system}", "code": code}]}]


def step_of(code: str) -> Document:
    return {"system": f"{C}/CodeSystem/step", "code": code}


def evidence_of(name: str, *, max_age: int | None = None, **parts: Any) -> Document:
    """One input; parts such as sustained_over are written with hyphens."""
    found = known(name)
    assert found is not None
    more = [(key.replace("_", "-"), value) for key, value in parts.items()]
    entry: Document = {
        "type": found.resource_type,
        "extension": [extension("evidence", ("name", name), ("kind", found.kind.value), *more)],
    }
    if max_age is not None:
        entry["dateFilter"] = [{"path": "date", "valueDuration": days(max_age)}]
    return entry


def rule(
    code: str,
    *outcomes: Sequence[tuple[str, Any]],
    when: str | None = None,
    missing: Sequence[str] = (),
    **members: Any,
) -> Document:
    """A rule with outcomes as sequences of (part, value); the first part of each is its effect."""
    words = dict.fromkeys(("title", "description", "textEquivalent"), f"{code} in plain words")
    action: Document = {
        "code": coded("rule", code),
        **words,
        "documentation": [{"type": "citation", "citation": "made up for a test"}],
        "extension": [extension("rule-outcome", *outcome) for outcome in outcomes],
        **members,
    }
    for effect in missing:
        parts = [("effect", effect), *([("role", "clinician")] if effect == "tell" else [])]
        action["extension"].append(extension("rule-missing", *parts))
    if when is not None:
        expression = {"language": "text/fhirpath", "expression": when}
        action["condition"] = [{"kind": "applicability", "expression": expression}]
    return action


def effect(kind: str, **parts: Any) -> list[tuple[str, Any]]:
    """One outcome; `from_` is the part from, `resume_within` is resume-within and so on."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in parts.items()}
    return [("effect", kind), *named.items()]


def step(code: str, *parts: tuple[str, Any], system: str = "step", options: Sequence[str] = ("education",)) -> Document:
    service = {"system": f"{C}/CodeSystem/tier-service", "code": "structured-support", "display": "Support"}
    tier = {"system": f"{C}/CodeSystem/tier", "code": "tier-2"}
    return {
        "code": coded(system, code),
        "title": code,
        "textEquivalent": f"what {code} offers",
        "timingDuration": days(14),
        "extension": [extension("policy-step", ("service", service), ("tier", tier), *parts)],
        "action": [option(each) for each in options],
    }


def option(code: str) -> Document:
    parts: list[tuple[str, Any]] = [(name, f"{name} of {code}") for name in ("benefit", "burden", "timeline")]
    parts += [("modality", "telehealth")] if code == "guided-programme" else []
    parts += [("self-guided", True)] if code == "self-guided-programme" else []
    return {
        "code": coded("care-option", code),
        "title": code,
        "textEquivalent": code,
        "extension": [extension("policy-option", *parts)],
    }


def document(
    kind: str,
    inputs: Sequence[Document],
    rules: Mapping[str, Sequence[Document]],
    steps: Sequence[Document],
    tracks: Sequence[Document] = (),
    parameters: Sequence[Document] = (),
) -> Document:
    """A whole policy; `rules` by stage, each list in order."""
    order = ("safety", "red-flags", "floors", "modifiers", "preference", "proposal")
    stages: list[Document] = [{"code": coded("policy-stage", "evidence"), "input": list(inputs)}]
    named = [name for name in order if name in rules]
    stages += [{"code": coded("policy-stage", name), "action": list(rules[name])} for name in named]
    stages[-1] |= {"description": "Step {step} by {review_date}.", "textEquivalent": "Again by {review_date}."}
    stages.append({"code": coded("policy-stage", "steps"), "action": list(steps)})
    if tracks:
        stages.append({"code": coded("policy-stage", "tracks"), "action": list(tracks)})
    return {
        "resourceType": "PlanDefinition",
        "url": "https://clinic.example/PlanDefinition/trial",
        "version": "1",
        "title": "Trial",
        "status": "draft",
        "extension": [extension("policy-ladder", ("kind", kind)), *parameters],
        "action": stages,
    }


def parameter(name: str, value: int, source: str = "made up for a test") -> Document:
    return extension("policy-parameter", ("name", name), ("value", value), ("source", source))


def published(content: Document) -> Policy:
    return parse_policy(copy.deepcopy(content), CATALOGUE)


def run(policy: Policy, risk: RiskState = NO_RISK, *, old: int = 0, **values: Any) -> Decision:
    """What the policy decides on these values, observed `old` days ago."""
    observed = NOW - timedelta(days=old)
    known_values = {name: EvidenceValue(value, observed, f"Observation/{name}") for name, value in values.items()}
    return decide(policy, Evidence(known_values, risk), NOW)


def course(*values: tuple[int, int]) -> tuple[Measure, ...]:
    """Measures as (days ago, value), oldest first."""
    return tuple(Measure(value, NOW - timedelta(days=ago)) for ago, value in values)
