"""A QuestionnaireResponse comes in: validated, scored, safety items acted on, announced, in one unit of work."""

from collections.abc import Sequence
from typing import Any

import orjson
from stepwell_shared.canonical import CANONICAL, derived_beside
from stepwell_shared.events.outbox import Content, event
from stepwell_shared.fhir.body import same_content
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_screening import builders
from stepwell_screening.instruments import Instrument, find_instrument
from stepwell_screening.rules.aggregation import Context, ScoreResult
from stepwell_screening.rules.definition import ScoreDefinition
from stepwell_screening.rules.finding import FINISHED, Finding
from stepwell_screening.rules.succession import check_succession
from stepwell_screening.subscriptions import PREFERENCE_CHANGED, SCORE_FINALIZED
from stepwell_screening.use_cases.adaptive import Assembled, assembled_of
from stepwell_screening.use_cases.alerts import open_alerts
from stepwell_screening.use_cases.answering import heard_of
from stepwell_screening.use_cases.subjects import Subject, subject_key, subject_of

RETRACTED = "entered-in-error"
# The form by which people say what suits them and what gets in the way.
WISHES = f"{CANONICAL}/Questionnaire/preference-and-barriers"
VERSION = "0.1.0"

Resource = dict[str, Any]


async def submit_response(runtime: Runtime, write: Write) -> None:
    """Holds a response to its Questionnaire; once finished, adds what follows from it to the same unit of work.

    Raises FhirError BUSINESS_RULE with every finding when it does not conform.
    """
    response = write.resource
    assert response is not None, "responses are never deleted"
    instrument = await _instrument(runtime, write.access.tenant, response)
    subject = await subject_of(runtime, write.read, response.get("subject"), "QuestionnaireResponse.subject")
    before = orjson.loads(write.previous.body) if write.previous and write.previous.body else None
    results = instrument.score(response, _context(instrument, subject))
    succession = _succession(runtime, write, subject, before)
    _refuse([*succession, *instrument.check(response), *instrument.score.check(response, results)])
    watched = instrument.whole if isinstance(instrument, Assembled) else instrument
    alerts = await open_alerts(runtime, write, subject, watched)
    made = list(alerts.opened)
    if _is_told(response, before):
        scores = [_score_entry(runtime, write, instrument, subject, result) for result in results]
        made[:0] = [url for url, _ in scores]
        focus = f"QuestionnaireResponse/{write.stored.id}"
        entries: list[tuple[str, Content]] = [
            (f"{runtime.engine.base_url}/{focus}", write.stored),
            *scores,
            *alerts.entries,
            *subject.entries,
        ]
        write.unit.effects.append(event(SCORE_FINALIZED.canonical, subject.key, focus, entries, write.now))
        if not results:
            _announce_wishes(runtime, write, subject, response)
    if made:
        _record_origin(runtime, write, instrument, made)
    if response["status"] in FINISHED:
        heard_of(runtime).note(write.access.tenant, subject.key)


def _announce_wishes(runtime: Runtime, write: Write, subject: Subject, response: Resource) -> None:
    """Tells others of wishes and barriers, which have no score."""
    if response["questionnaire"].partition("|")[0] == WISHES:
        focus = f"QuestionnaireResponse/{write.stored.id}"
        entries: list[tuple[str, Content]] = [(f"{runtime.engine.base_url}/{focus}", write.stored)]
        write.unit.effects.append(event(PREFERENCE_CHANGED.canonical, subject.key, focus, entries, write.now))


def observation_id(runtime: Runtime, tenant: str, response_id: str, score: ScoreDefinition) -> str:
    """The id that this score of a response has in measurement; an amended response changes the same Observation."""
    return derived_beside(response_id, runtime.engine.base_url, tenant, "score", response_id, score.code["code"])


def _context(instrument: Instrument | Assembled, subject: Subject) -> Context | None:
    """What bands depend on beside the answers, where this instrument has such bands and it is known of the person."""
    if "sex" not in instrument.definition.contexts:
        return None
    for _, patient in subject.entries:
        gender = orjson.loads(patient.body or b"{}").get("gender")
        if gender in {"female", "male"}:
            return {"sex": gender}
    return None


def _is_told(response: Resource, before: Resource | None) -> bool:
    """Whether others hear of it, with a score or without: a finished response, or a finished one that is withdrawn."""
    if response["status"] == RETRACTED:
        return before is not None and before["status"] in FINISHED
    return response["status"] in FINISHED


async def _instrument(runtime: Runtime, tenant: str, response: Resource) -> Instrument | Assembled:
    """The instrument that the response names with its version, or the adaptive form that it contains."""
    canonical = response.get("questionnaire", "")
    found: Instrument | Assembled | None = None
    if canonical.startswith("#"):
        found = await assembled_of(runtime, tenant, response)
    elif "|" in canonical:
        found = await find_instrument(runtime, tenant, canonical)
    if found is None:
        text = "name a Questionnaire that is published here, with its version (url|version)"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "QuestionnaireResponse.questionnaire")])
    if "authored" not in response:
        text = "say when the answers were given"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "required", "QuestionnaireResponse.authored")])
    return found


def _succession(runtime: Runtime, write: Write, subject: Subject, before: Resource | None) -> list[Finding]:
    if before is None or write.resource is None or write.previous is None:
        return []
    expression = "QuestionnaireResponse.subject"
    return check_succession(
        before,
        write.resource,
        same_subject=subject_key(runtime, before["subject"], expression) == subject.key,
        same_content=same_content(write.previous.body or b"", write.resource),
    )


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise FhirError(Category.BUSINESS_RULE, [Issue(each.text, each.code, each.expression) for each in findings])


def _score_entry(
    runtime: Runtime, write: Write, instrument: Instrument | Assembled, subject: Subject, result: ScoreResult
) -> tuple[str, Content]:
    """A score as measurement will keep it; its source lets a receiver tell a repeat from an amendment."""
    response: Resource = write.resource or {}
    url = f"{runtime.engine.base_url}/QuestionnaireResponse/{write.stored.id}"
    observation = builders.score_observation(
        observation_id=observation_id(runtime, write.access.tenant, write.stored.id, result.score),
        definition=instrument.definition,
        result=result,
        response_url=url,
        subject=subject.reference,
        effective=response["authored"],
        issued=write.now,
        status={"amended": "amended", RETRACTED: RETRACTED}.get(response["status"], "final"),
    )
    address = f"{runtime.settings.url_of('measurement')}/Observation/{observation['id']}"
    return address, {**observation, "meta": {"source": f"{url}/_history/{write.stored.version}"}}


def _record_origin(runtime: Runtime, write: Write, instrument: Instrument | Assembled, targets: Sequence[str]) -> None:
    """Provenance: this software, from this version of the response, made these."""
    version = f"QuestionnaireResponse/{write.stored.id}/_history/{write.stored.version}"
    provenance = builders.provenance(
        provenance_id=derived_beside(
            write.stored.id, runtime.engine.base_url, write.access.tenant, "provenance", version
        ),
        targets=targets,
        response_version=version,
        questionnaire=instrument.canonical,
        recorded=write.now,
        software_version=VERSION,
    )
    write.unit.changes.append(built(runtime.engine, provenance, write.now))
