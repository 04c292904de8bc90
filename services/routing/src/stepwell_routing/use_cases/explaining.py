"""`$explain`: why somebody is at this step, in the words of clinicians and of the person, and what would change it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from stepwell_shared.canonical import code_system, instant
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_routing.rules.counterfactuals import counterfactuals
from stepwell_routing.rules.decisions import Decision, Evidence, EvidenceValue, decide
from stepwell_routing.rules.expressions import Kind, Scalar, kind_of
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.tiers import Option
from stepwell_routing.use_cases.governing import governing
from stepwell_routing.use_cases.knowledge import evidence_now, known_of
from stepwell_routing.use_cases.persons import surroundings
from stepwell_routing.use_cases.simulating import invalid, parameters_of, policy_asked, value_of
from stepwell_routing.use_cases.standing import key_of, standing_of

KNOWN = ("policy", "subject", "language", "evidence")
SUPPLIED = "urn:stepwell:supplied"

Resource = dict[str, Any]
Given = Mapping[str, list[Resource]]


@dataclass(frozen=True)
class Considered:
    """What a policy says of one person now, and on what."""

    policy: Policy
    subject: Resource
    evidence: Evidence
    decision: Decision
    language: str

    def words(self, by_language: Mapping[str, str]) -> str:
        """A text in the language that was asked for, or in the policy's own."""
        return by_language.get(self.language) or by_language.get(self.policy.language, "")


async def explain(runtime: Runtime, request: Request) -> Response:
    """`PlanDefinition/[id]/$explain`: the decision, every rule with its values, what would change it, as Parameters.

    Nothing is stored. Raises FhirError as `consider` does.
    """
    found = await consider(runtime, request)
    body = {"resourceType": "Parameters", "parameter": [*_decided(found), *_rules(found), *_rest(found)]}
    return Response(200, encode(body), {"Cache-Control": "no-store"}, request.id)


async def consider(runtime: Runtime, request: Request) -> Considered:
    """The decision of a policy on what is known of a person, with supplied evidence in place of what is kept.

    Without a policy it is the one that is in force for the person, as the next live decision would be made.

    Raises FhirError: INVALID for parameters that cannot be taken, FORBIDDEN for who may not read everybody's tier
    assignments and scores, NOT_FOUND for a policy that is not there.
    """
    for kind in ("ServiceRequest", "Observation"):
        request.access.require(kind, Interaction.READ)
        if request.access.filters(kind, Interaction.READ):
            raise FhirError(Category.FORBIDDEN, f"this needs a token that reaches every {kind}")
    given = parameters_of(request, KNOWN)
    subject, tenant, now = _subject(given), request.access.tenant, runtime.clock()
    key = key_of(runtime, subject)
    standing, known = await asyncio.gather(standing_of(runtime, tenant, key), known_of(runtime, tenant, key))
    governed = await governing(runtime, tenant, standing, key)
    is_named = bool(request.id) or "policy" in given
    policy = await policy_asked(runtime, request, given) if is_named else governed.policy
    around = await surroundings(runtime, tenant, policy, governed.site, key, None)
    evidence = evidence_now(policy, [*known, *around], standing, now)
    supplied = dict(_supplied(policy, row, now) for row in given.get("evidence", ()))
    evidence = replace(evidence, values={**evidence.values, **supplied})
    decision = decide(policy, evidence, now)
    return Considered(policy, subject, evidence, decision, _language(request, given, policy))


def _subject(given: Given) -> Resource:
    value = value_of(given, "subject")
    if isinstance(value, str) and value:
        return {"reference": value}
    if isinstance(value, dict) and ("reference" in value or "value" in value.get("identifier", {})):
        return value
    raise invalid("say whom this is about: subject as a reference or identifier", "subject")


def _language(request: Request, given: Given, policy: Policy) -> str:
    """The parameter before the header before the policy's own."""
    asked = value_of(given, "language") or request.headers.get("accept-language", "")
    wanted = [part.partition(";")[0].strip().partition("-")[0] for part in str(asked).split(",")]
    return next((each for each in wanted if each in policy.languages), policy.language)


def _supplied(policy: Policy, row: Resource, now: datetime) -> tuple[str, EvidenceValue]:
    """Parts name and value; in a query `name:value`. It counts as observed now."""
    parts = {
        str(part.get("name")): next((v for k, v in part.items() if k.startswith("value")), None)
        for part in row.get("part", ())
    }
    if "valueString" in row:
        name, _, text = str(row["valueString"]).partition(":")
        parts = {"name": name, "value": text}
    declared = next((item for item in policy.inputs if item.name == parts.get("name")), None)
    if declared is None or parts.get("value") is None:
        raise invalid("evidence has the parts name (of the policy's evidence) and value", "evidence")
    value = _scalar(parts["value"], declared.kind)
    if value is None or kind_of(value) is not declared.kind:
        raise invalid(f"the evidence {declared.name} is a {declared.kind.value}", "evidence")
    return declared.name, EvidenceValue(value, now, SUPPLIED)


def _scalar(value: Any, kind: Kind) -> Scalar | None:
    if kind is Kind.BOOLEAN:
        return {"true": True, "false": False}.get(str(value).lower())
    if kind is Kind.STRING:
        return str(value)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    if not number.is_finite() or isinstance(value, bool):
        return None
    return int(number) if number == number.to_integral_value() else number


def _decided(found: Considered) -> list[Resource]:
    decision = found.decision
    tier = decision.tier
    coding = {"system": code_system(tier.system), "code": tier.code, "display": found.words(tier.display)}
    return [
        {"name": "policy", "valueCanonical": decision.policy},
        {"name": "step", "valueCoding": coding},
        {"name": "outcome", "valueCode": decision.outcome},
        {"name": "status", "valueCode": decision.status},
        {"name": "priority", "valueCode": decision.priority},
        {"name": "review", "valueDateTime": instant(decision.review_at)},
        {"name": "deciding-rule", "valueCode": decision.rule},
        {"name": "reason-for-clinicians", "valueString": found.words(decision.clinician_reason)},
        {"name": "reason-for-the-person", "valueString": found.words(decision.patient_reason)},
        *({"name": "waits-for", "valueCode": code} for code in decision.holds),
        *({"name": "track", "valueCode": code} for code in decision.tracks),
    ]


def _rules(found: Considered) -> list[Resource]:
    """Every rule of the policy: those that fired with what they saw, the others with why not."""
    decision = found.decision
    rows = []
    for rule in decision.fired:
        seen = [_part("saw", [_text("name", name), _text("value", _said(value))]) for name, value in rule.seen]
        rows.append(_part("rule-fired", [*_named(found, rule.code), _text("stage", rule.stage), *seen]))
    for not_fired in decision.not_fired:
        missing = [_text("missing", name) for name in not_fired.missing]
        rows.append(_part("rule-not-fired", [*_named(found, not_fired.code), _text("why", not_fired.why), *missing]))
    return rows


def _rest(found: Considered) -> list[Resource]:
    """What is missing or too old, what would change the step, and the menu."""
    decision = found.decision
    turned = counterfactuals(found.policy, found.evidence, decision.decided_at, decision)
    return [
        *(_text("not-known", name) for name in decision.not_known),
        *(_text("too-old", name) for name in decision.stale),
        *(_text("ask-for", name) for name in decision.ask),
        *(
            _part(
                "would-change",
                [
                    _text("name", each.name),
                    _text("value", _said(each.value)),
                    _text("instead", _said(each.instead)),
                    {"name": "step", "valueCode": each.tier_code},
                ],
            )
            for each in turned
        ),
        *(_part("option", _option(found, option)) for option in decision.menu),
    ]


def _option(found: Considered, option: Option) -> list[Resource]:
    texts = {
        "title": option.display,
        "means": option.plain,
        "benefit": option.benefit,
        "burden": option.burden,
        "timeline": option.timeline,
    }
    said = [_text(name, found.words(words)) for name, words in texts.items() if words]
    return [{"name": "code", "valueCode": option.code}, *said]


def _named(found: Considered, code: str) -> list[Resource]:
    title = found.words(found.decision.rule_titles.get(code, {}))
    return [{"name": "code", "valueCode": code}, *([_text("title", title)] if title else [])]


def _part(name: str, parts: Sequence[Resource]) -> Resource:
    return {"name": name, "part": list(parts)}


def _text(name: str, value: str) -> Resource:
    return {"name": name, "valueString": value}


def _said(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
