"""Builds the FHIR resources that a routing decision leaves behind, as plain dicts; ids, times and URLs are passed in.

https://hl7.org/fhir/R4/servicerequest.html, provenance.html and episodeofcare.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import CANONICAL, code_system, extension_url, instant

from stepwell_routing.rules.decisions import Decision, Fired, NotFired
from stepwell_routing.rules.tiers import Tier

Resource = dict[str, Any]

SOFTWARE = {
    "type": "Device",
    "identifier": {"system": f"{CANONICAL}/NamingSystem/software", "value": "stepwell-routing"},
    "display": "Stepwell routing",
}
DECISION_IDENTIFIER_SYSTEM = f"{CANONICAL}/NamingSystem/tier-decision"
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def tier_assignment(
    decision: Decision,
    *,
    resource_id: str,
    identifier: str,
    subject: Mapping[str, Any],
    questionnaire_response: str,
    tier: Tier | None = None,
    prior: str | None = None,
    prior_episode: str | None = None,
) -> Resource:
    """The tier-assignment ServiceRequest of a decision, as the machine's proposal.

    `identifier` is derived from the decision's cause; `subject` is a Reference that can be followed from anywhere or
    an identifier, `questionnaire_response` an absolute URL; `tier` is the one by whose places the step is given, where
    that is none of the shared tiers;
    `prior` is the reference of the assignment that this one replaces; `prior_episode` that of the episode that ended
    before, when somebody comes back.
    """
    observations = [url for url in decision.references if "/Observation/" in url]
    others = [url for url in decision.references if url not in observations]
    supporting = dict.fromkeys([questionnaire_response, *others, *filter(None, (prior, prior_episode))])
    offering, language = decision.tier, decision.language
    body: Resource = {
        "resourceType": "ServiceRequest",
        "id": resource_id,
        "language": language,
        "identifier": [{"system": DECISION_IDENTIFIER_SYSTEM, "value": identifier}],
        "instantiatesCanonical": [decision.policy],
        **({"replaces": [{"reference": prior}]} if prior else {}),
        "status": decision.status,
        "intent": "proposal",
        "category": _category(offering, tier or offering, language),
        "priority": decision.priority,
        "code": _concept("tier-service", offering.service_code, offering.service, language),
        "orderDetail": _options(decision),
        "subject": dict(subject),
        "occurrencePeriod": {"start": instant(decision.decided_at), "end": instant(decision.review_at)},
        "authoredOn": instant(decision.decided_at),
        "requester": SOFTWARE,
        "reasonCode": [_rule(decision, code) for code in decision.reason_codes],
        "reasonReference": [{"reference": url} for url in observations],
        "supportingInfo": [{"reference": url} for url in supporting],
        "note": [{"time": instant(decision.decided_at), **_text("text", decision.clinician_reason, language)}],
        **_text("patientInstruction", decision.patient_reason, language),
    }
    return {name: value for name, value in body.items() if value != []}


def accepted_assignment(proposal: Mapping[str, Any], *, practitioner: str, accepted_at: datetime) -> Resource:
    """The next version of a proposal that a named clinician accepted: a plan that this clinician requests.

    The machine stays named in the Provenance of the proposal. Raises ValueError for anything but a proposal.
    """
    if proposal.get("intent") != "proposal":
        raise ValueError("only a proposal can be accepted")
    accepted = {
        **proposal,
        "intent": "plan",
        "requester": {"reference": practitioner},
        "authoredOn": instant(accepted_at),
    }
    accepted.pop("meta", None)
    return accepted


def overriding_assignment(
    proposal: Mapping[str, Any],
    *,
    resource_id: str,
    offering: Tier,
    tier: Tier,
    reason: Mapping[str, Any],
    practitioner: str,
    overridden_at: datetime,
    review_at: datetime,
) -> Resource:
    """The plan of a clinician who decided for this step instead of the proposed one: what it offers, and by whose
    places, those of `tier`.

    It rests on the same evidence, and names the rules that fired after the clinician's own reason: what safety asked
    for goes on to be known. The options are left to the clinician, because what speaks against one is not recorded
    per tier.
    """
    language = proposal["language"]
    prior = f"ServiceRequest/{proposal['id']}"
    own = {"meta", "orderDetail", "note", "patientInstruction", "_patientInstruction"}
    kept = {name: value for name, value in proposal.items() if name not in own}
    words = reason.get("text")
    note = {"authorReference": {"reference": practitioner}, "time": instant(overridden_at), "text": words}
    return {
        **kept,
        "id": resource_id,
        "identifier": [{"system": DECISION_IDENTIFIER_SYSTEM, "value": resource_id}],
        "replaces": [{"reference": prior}],
        "intent": "plan",
        "category": _category(offering, tier, language),
        "code": _concept("tier-service", offering.service_code, offering.service, language),
        "occurrencePeriod": {"start": instant(overridden_at), "end": instant(review_at)},
        "authoredOn": instant(overridden_at),
        "requester": {"reference": practitioner},
        "reasonCode": [dict(reason), *proposal["reasonCode"]],
        "supportingInfo": [*proposal["supportingInfo"], {"reference": prior}],
        **({"note": [note]} if words else {}),
        **_text("patientInstruction", offering.offer, language),
    }


def tier_code(request: Mapping[str, Any]) -> str:
    """The code of the tier by whose places a request is given."""
    return str(request["category"][0]["coding"][0]["code"])


def step_code(request: Mapping[str, Any]) -> str:
    """The code of the step that a request assigns: of its policy's own steps, or one of the shared tiers."""
    return str(request["category"][-1]["coding"][0]["code"])


def _category(offering: Tier, tier: Tier, language: str) -> list[Resource]:
    """The tier first, by which places are found, then the step where the ladder has steps of its own."""
    if offering.system == "tier":
        return [_concept("tier", offering.code, offering.display, language)]
    spoken = language if language in tier.display else next(iter(tier.display))
    own = _concept(offering.system, offering.code, offering.display, language)
    return [_concept("tier", tier.code, tier.display, spoken), own]


def rule_codes(request: Mapping[str, Any]) -> frozenset[str]:
    """The codes of the rules that a request names as its reasons."""
    codings = (coding for concept in request["reasonCode"] for coding in concept.get("coding", ()))
    return frozenset(coding["code"] for coding in codings if coding.get("system") == code_system("rule"))


def decision_provenance(
    decision: Decision,
    *,
    resource_id: str,
    activity: str,
    targets: Sequence[str],
    questionnaire_response: str,
) -> Resource:
    """Who decided what from which evidence by which policy, with every rule that fired and the values it saw.

    `activity` is `assign`, `modify` or `stay`; a stay makes no new ServiceRequest, its targets are the versions of
    the assignment and the episode that go on. `targets` and `questionnaire_response` name versions.
    """
    moment = instant(decision.decided_at)
    return {
        "resourceType": "Provenance",
        "id": resource_id,
        **({"extension": [_not_fired(each) for each in decision.not_fired]} if decision.not_fired else {}),
        "target": [{"reference": target} for target in targets],
        "occurredDateTime": moment,
        "recorded": moment,
        "policy": [decision.policy],
        "reason": [_fired(decision, fired) for fired in decision.fired],
        "activity": {"coding": [_activity(code) for code in dict.fromkeys((activity, decision.outcome))]},
        "agent": [_agent("assembler", SOFTWARE)],
        "entity": [
            {"role": "source", "what": {"reference": questionnaire_response}},
            *({"role": "source", "what": {"reference": url}} for url in decision.references),
            _derivation(decision.policy),
        ],
    }


def acceptance_provenance(
    *,
    resource_id: str,
    target: str,
    proposal: str | None,
    practitioner: str,
    policy: str,
    accepted_at: datetime,
    activity: str = "accept",
    others: Sequence[str] = (),
) -> Resource:
    """A named clinician accepted the proposal: `target` and `proposal` are the versions after and before, if
    there was one.

    Another `activity` says what else somebody decided about a course; `others` are what changed with it.
    """
    return {
        "resourceType": "Provenance",
        "id": resource_id,
        "target": [{"reference": each} for each in (target, *others)],
        "occurredDateTime": instant(accepted_at),
        "recorded": instant(accepted_at),
        "policy": [policy],
        "activity": {"coding": [{"system": code_system("decision"), "code": activity}]},
        "agent": [_agent("author", {"reference": practitioner})],
        "entity": [
            *([{"role": "revision", "what": {"reference": proposal}}] if proposal else []),
            _derivation(policy),
        ],
    }


def override_provenance(
    *,
    resource_id: str,
    targets: Sequence[str],
    proposal: str,
    practitioner: str,
    reason: Mapping[str, Any],
    policy: str,
    overridden_at: datetime,
) -> Resource:
    """A named clinician decided otherwise: `targets` are the versions of the plan and of the withdrawn proposal."""
    accepted = acceptance_provenance(
        resource_id=resource_id,
        target=targets[0],
        proposal=proposal,
        practitioner=practitioner,
        policy=policy,
        accepted_at=overridden_at,
    )
    return {
        **accepted,
        "target": [{"reference": target} for target in targets],
        "reason": [dict(reason)],
        "activity": {"coding": [{"system": code_system("decision"), "code": "override"}]},
    }


def episode(
    *,
    resource_id: str,
    pathway: str,
    subject: Mapping[str, Any],
    requests: Sequence[str],
    moment: datetime,
    entered: tuple[str, str] | None = None,
    previous: Mapping[str, Any] | None = None,
    status: str | None = None,
    organization: Mapping[str, Any] | None = None,
) -> Resource:
    """The EpisodeOfCare of a person in a pathway, with the step in which care has begun and since when.

    `requests` are references of the ServiceRequests that it rests on, the newest first; while a safety question is
    open and no tier has been proposed there is none, and the episode is planned. `entered` is the
    step that is accepted now, and its tier, by their codes; without it the step of `previous`, the stored episode, goes
    on as its start does. `status` is `onhold` while the step rests, `finished` once care has ended, `active` when it
    goes on. `organization` is the site that runs it.
    """
    kept = {} if previous is None else {name: value for name, value in previous.items() if name != "meta"}
    body: Resource = {
        "resourceType": "EpisodeOfCare",
        "id": resource_id,
        "type": [{"coding": [{"system": code_system("pathway"), "code": pathway}]}],
        "period": {"start": instant(moment)},
        **({"managingOrganization": dict(organization)} if organization else {}),
        **kept,
        "status": status or _episode_status(kept.get("status", "planned"), requests),
        "patient": dict(subject),
        "referralRequest": [{"reference": reference} for reference in requests],
    }
    before = kept.get("status")
    if before is not None and body["status"] != before:
        since = _history_end(kept)
        history = {"status": before, "period": {"start": since, "end": instant(moment)}}
        body["statusHistory"] = [*kept.get("statusHistory", ()), history]
    if body["status"] in {"finished", "cancelled"}:
        body["period"] = {**body["period"], "end": instant(moment)}
    if entered is not None and entered != (current_step(kept), current_tier(kept)):
        url = extension_url("current-step")
        own, tier = entered
        parts = [
            {"url": "tier", "valueCoding": {"system": code_system("tier"), "code": tier}},
            *([{"url": "step", "valueCoding": {"system": code_system("step"), "code": own}}] if own != tier else []),
            {"url": "since", "valueDateTime": instant(moment)},
        ]
        others = [entry for entry in kept.get("extension", ()) if entry.get("url") != url]
        body["extension"] = [*others, {"url": url, "extension": parts}]
    return {name: value for name, value in body.items() if value != []}


def _episode_status(before: str, requests: Sequence[str]) -> str:
    return "active" if requests and before == "planned" else before


def _history_end(stored: Mapping[str, Any]) -> str:
    """Since when an episode has its status."""
    history = stored.get("statusHistory")
    return str(history[-1]["period"]["end"] if history else stored["period"]["start"])


def current_tier(stored: Mapping[str, Any]) -> str | None:
    """The code of the tier that an episode is in."""
    return next((part["valueCoding"]["code"] for part in _step(stored) if part["url"] == "tier"), None)


def current_step(stored: Mapping[str, Any]) -> str | None:
    """The code of the step that an episode is in; a shared tier is a step of its own name."""
    own = next((part["valueCoding"]["code"] for part in _step(stored) if part["url"] == "step"), None)
    return own or current_tier(stored)


def step_since(stored: Mapping[str, Any]) -> str | None:
    """Since when an episode is in its tier, as written."""
    return next((part["valueDateTime"] for part in _step(stored) if part["url"] == "since"), None)


def _step(stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    url = extension_url("current-step")
    return next((entry["extension"] for entry in stored.get("extension", ()) if entry.get("url") == url), [])


def _options(decision: Decision) -> list[Resource]:
    """The ways to receive care at this tier that nothing speaks against."""
    return [
        _concept("care-option", option.code, option.display, decision.language)
        for option in decision.tier.options
        if option.code not in decision.excluded_options
    ]


def _fired(decision: Decision, fired: Fired) -> Resource:
    """A rule that fired, with the values it saw as its text; they read the same in every language."""
    concept = _rule(decision, fired.code)
    if not fired.seen:
        return concept
    return {"coding": concept["coding"], "text": ", ".join(f"{name} = {_shown(value)}" for name, value in fired.seen)}


def _activity(code: str) -> Resource:
    return {"system": code_system("decision"), "code": code}


def _not_fired(rule: NotFired) -> Resource:
    """A rule that did not fire, and why: false, or what is missing."""
    parts = [{"url": "rule", "valueCode": rule.code}, {"url": "why", "valueCode": rule.why}]
    missing = [{"url": "missing", "valueString": name} for name in rule.missing]
    return {"url": extension_url("rule-not-fired"), "extension": [*parts, *missing]}


def _rule(decision: Decision, code: str) -> Resource:
    return _concept("rule", code, decision.rule_titles[code], decision.language)


def _concept(system: str, code: str, words: Mapping[str, str], language: str) -> Resource:
    coding = {"system": code_system(system), "code": code, "display": words[language]}
    return {"coding": [coding], **_text("text", words, language)}


def _text(name: str, words: Mapping[str, str], language: str) -> Resource:
    """A string in one language with its translations beside it."""
    others = [_translation(code, text) for code, text in sorted(words.items()) if code != language]
    return {name: words[language], **({f"_{name}": {"extension": others}} if others else {})}


def _translation(language: str, text: str) -> Resource:
    return {
        "url": TRANSLATION,
        "extension": [{"url": "lang", "valueCode": language}, {"url": "content", "valueString": text}],
    }


def _agent(participant: str, who: Resource) -> Resource:
    return {"type": {"coding": [{"system": PARTICIPANT, "code": participant}]}, "who": who}


def _derivation(policy: str) -> Resource:
    """The policy as an entity: a canonical is no literal reference, so it stands as a URI identifier (RFC 3986)."""
    return {
        "role": "derivation",
        "what": {"type": "PlanDefinition", "identifier": {"system": "urn:ietf:rfc:3986", "value": policy}},
    }


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
