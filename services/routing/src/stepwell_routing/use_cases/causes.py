"""From an event to the cause of a decision: who it is about, what came to be known, and which version says so."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, extension_url
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.copies import version_in
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.runtime import Runtime

from stepwell_routing.data.answers import readings
from stepwell_routing.rules.answers import said_by
from stepwell_routing.tables import ATTENDED, MISSED, RELIABLE, RISK, SAID, WAIT_UNTIL, Known
from stepwell_routing.use_cases.evidence import WITHDRAWN, moment, person_rows, risk_of, score_of
from stepwell_routing.use_cases.standing import key_of

RISK_TYPE = "RiskAssessment"
CLOSED = frozenset({"completed", "cancelled", "rejected", "failed", WITHDRAWN})
BEGUN = frozenset({"in-progress", "completed"})
# http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS: event completed, unattended
HELD, UNATTENDED = "5.1.4", "5.1.2"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """Why we decide now: `id` names it once and for all, `source` is the version of the resource that says so.

    `status` is that of the resource; `subject` can be followed from anywhere. `person` is what the Patient who came
    with the event says, which is not kept: None where none came.
    """

    id: tuple[str, ...]
    status: str
    source: str
    response_url: str
    subject_key: str
    subject: Resource
    known: tuple[Known, ...]
    person: tuple[Known, ...] | None = None


def cause_of_response(runtime: Runtime, received: ReceivedEvent) -> Cause:
    """Of topic score-finalized: scores, answers and safety state of one version of a response, and who answered."""
    screening, measurement = runtime.settings.url_of("screening"), runtime.settings.url_of("measurement")
    url, response = _focus(received, "QuestionnaireResponse", screening)
    try:
        known = (*_known(received, screening, measurement), *_answers(url, response))
        cause = _cause(runtime, url, response, url, response["subject"], known)
        return replace(cause, person=_person(runtime, received, cause.subject_key))
    except (KeyError, IndexError, ValueError) as error:
        raise _incomplete(received) from error


def cause_of_alert(runtime: Runtime, received: ReceivedEvent) -> Cause:
    """Of topic safety-alert: where a safety Task stands, which asks for a review of risk, for a medical one, or for
    triage by a person."""
    screening = runtime.settings.url_of("screening")
    url, task = _focus(received, "Task", screening)
    try:
        (address, assessment), *_ = (
            (address, found) for address, found in received.resources.items() if found["resourceType"] == RISK_TYPE
        )
        # What a person raises by hand rests on no answer: then its Task stands for the response.
        basis = next((each["reference"] for each in assessment.get("basis", ())), url)
        response_url = basis if "://" in basis else f"{screening}/{basis}"
        known = _said_by_alert(task, assessment, address)
        return _cause(runtime, url, task, response_url, task["for"], known)
    except (KeyError, IndexError, ValueError) as error:
        raise _incomplete(received) from error


def cause_of_course(runtime: Runtime, received: ReceivedEvent) -> Cause:
    """Of topic trajectory-changed: whether somebody's change on one instrument is reliable, and which way."""
    measurement = runtime.settings.url_of("measurement")
    url, result = _focus(received, "Observation", measurement)
    try:
        system = code_system("reliable-change")
        instrument = _code(result["code"], system).removesuffix("-reliable-change")
        value = _code(result.get("valueCodeableConcept", {}), system)
        withdrawn = result["status"] == WITHDRAWN or not value
        last = result["derivedFrom"][-1]["reference"]
        version = int(result["meta"]["versionId"])
        observed = moment(result["effectiveDateTime"])
        known = Known(f"{RELIABLE}{instrument}", None if withdrawn else value, observed, url, version)
        response_url = last if "://" in last else f"{measurement}/{last}"
        return _cause(runtime, url, result, response_url, result["subject"], (known,))
    except (KeyError, IndexError, ValueError) as error:
        raise _incomplete(received) from error


def cause_of_referral(runtime: Runtime, received: ReceivedEvent) -> Cause:
    """Of topic referral-changed: that somebody came, or did not, and until when they wait. Each day counts once,
    however often it is said.

    BSeR's business states say so of an event; a Task that is in progress or completed says that care has begun.
    """
    url, task = _focus(received, "Task", runtime.settings.url_of("referral"))
    try:
        heard = moment(task["lastModified"] if "lastModified" in task else task["authoredOn"])
        states = {coding.get("code") for coding in task.get("businessStatus", {}).get("coding", ())}
        name = MISSED if UNATTENDED in states else ATTENDED
        said = name == MISSED or HELD in states or task["status"] in BEGUN
        version = int(task["meta"]["versionId"])
        known = Known(name, "1", heard, f"{url}#{heard.date().isoformat()}", version)
        wait = _wait(task, heard, url, version)
        known_now = (known, *wait) if said else wait
        return _cause(runtime, url, task, task["focus"]["reference"], task["for"], known_now)
    except (KeyError, IndexError, ValueError) as error:
        raise _incomplete(received) from error


def _wait(task: Resource, heard: datetime, url: str, version: int) -> tuple[Known, ...]:
    """Until when somebody waits by the promise of their referral; no more once care has begun or that has ended."""
    url_of_promise = extension_url("wait-promise")
    promise = next((each for each in task.get("extension", ()) if each.get("url") == url_of_promise), None)
    if promise is None:
        return ()
    can_say = any(part.get("url") == "upper" for part in promise.get("extension", ()))
    is_over = task["status"] in BEGUN or task["status"] in CLOSED
    until = None if is_over or not can_say else task["restriction"]["period"]["end"]
    return (Known(WAIT_UNTIL, until, heard, url, version),)


def _answers(url: str, response: Resource) -> tuple[Known, ...]:
    """What the answers to a form that is read say, as of when they were given."""
    form = readings().get(str(response.get("questionnaire", "")).partition("|")[0])
    if form is None:
        return ()
    given, version = moment(response["authored"]), int(response["meta"]["versionId"])
    return tuple(Known(SAID + name, value, given, url, version) for name, value in said_by(form, response).items())


def _person(runtime: Runtime, received: ReceivedEvent, subject_key: str) -> tuple[Known, ...] | None:
    for url, resource in received.resources.items():
        if resource["resourceType"] == "Patient" and runtime.engine.localise(url) == subject_key:
            return person_rows(resource, url, runtime.clock())
    return None


def _said_by_alert(task: Resource, assessment: Resource, address: str) -> tuple[Known, ...]:
    """A red flag and a reason for triage are open until their Task is closed; risk is what its assessment says.

    Whoever completes the Task has looked: then it is known that there is none, until something new is found.
    """
    known = risk_of(assessment, address)
    if known.name == RISK or task["status"] not in CLOSED:
        return (known,)
    settled = known._replace(value=None)
    if task["status"] != "completed":
        return (settled,)
    return settled, known._replace(name=f"{SAID}{known.name.replace('-', '_')}", value="false")


def _cause(
    runtime: Runtime, url: str, focus: Resource, response_url: str, subject: Resource, known: tuple[Known, ...]
) -> Cause:
    version = focus["meta"]["versionId"]
    return Cause(
        id=(focus["resourceType"], focus["id"], version),
        status=focus["status"],
        source=f"{url}/_history/{version}",
        response_url=response_url,
        subject_key=key_of(runtime, subject),
        subject=_absolute(runtime, subject),
        known=known,
    )


def _known(received: ReceivedEvent, screening: str, measurement: str) -> list[Known]:
    known = []
    for address, resource in received.resources.items():
        if resource["resourceType"] == "Observation" and address.startswith(f"{measurement}/"):
            known.append(score_of(resource, address, version_in(resource["meta"]["source"])))
        elif resource["resourceType"] == RISK_TYPE and address.startswith(f"{screening}/"):
            known.append(risk_of(resource, address))
    return known


def _focus(received: ReceivedEvent, resource_type: str, base_url: str) -> tuple[str, Resource]:
    """The focus of an event; refused when the sender left it out."""
    url = received.focus or ""
    address = url if "://" in url else f"{base_url}/{url}"
    resource = received.resources.get(address)
    if resource is None or resource["resourceType"] != resource_type:
        text = f"the {resource_type} itself is needed"
        raise FhirError(Category.INVALID, [Issue(text, "required", received.expression)])
    return address, resource


def _code(concept: Resource, system: str) -> str:
    return next((str(coding["code"]) for coding in concept.get("coding", ()) if coding.get("system") == system), "")


def _absolute(runtime: Runtime, subject: Resource) -> Resource:
    """The subject as other services can follow it: what is ours, however it was written, is a Patient of screening."""
    if "reference" not in subject:
        return subject
    key = key_of(runtime, subject)
    return {**subject, "reference": key if "://" in key else f"{runtime.settings.url_of('screening')}/{key}"}


def _incomplete(received: ReceivedEvent) -> FhirError:
    text = "this event lacks what a decision is made from"
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", received.expression)])
