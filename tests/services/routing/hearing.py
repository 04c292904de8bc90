"""Events of screening as routing hears them, and looks at what it decided."""

from datetime import UTC, datetime
from typing import Any

from stepwell_routing.app import service
from stepwell_routing.builders import current_tier
from stepwell_routing.subscriptions import SAFETY_ALERT, SCORE_FINALIZED
from stepwell_screening import builders, safety_builders
from stepwell_screening.instruments import instruments, safety_policy
from stepwell_screening.safety_builders import SafetyCause
from stepwell_shared.canonical import derived_id, instant, topic
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.runtime import Runtime

from tests.services.screening.rules.answering import DEFINITIONS, answered, spread, total_of
from tests.support.runtime import NORTH, URLS, Announced, announced, received, stored, stored_of

Resource = dict[str, Any]

PATIENT: Resource = {"reference": f"{URLS['screening']}/Patient/p1"}
BY_IDENTIFIER: Resource = {"identifier": {"system": "https://ehr.example/mrn", "value": "7"}}
OPENED = datetime(2026, 11, 21, 8, 55, tzinfo=UTC)
ITEMS = {"phq-9": (9, 3), "gad-7": (7, 3), "phq-15": (15, 2)}
KEPT = ("ServiceRequest", "EpisodeOfCare", "Provenance")
CLINICIAN = {"reference": "Practitioner/dr-1"}


def scored(
    total: int | None,
    response: str = "r1",
    version: int = 1,
    *,
    instrument: str = "phq-9",
    status: str = "completed",
    subject: Resource = PATIENT,
    risk: Resource | None = None,
    day: int = 20,
) -> ReceivedEvent:
    """Topic score-finalized: a response with this total (None: too few answers), given on this day of November."""
    items, most = ITEMS[instrument]
    weights: list[int | None] = [None] * items if total is None else [*spread(total, items, most)]
    url = f"{URLS['screening']}/QuestionnaireResponse/{response}"
    authored = f"2026-11-{day:02}T08:00:00Z"
    observation = builders.score_observation(
        observation_id=derived_id(URLS["screening"], NORTH, "score", response, instrument),
        definition=DEFINITIONS[instrument],
        result=total_of(instrument, answered(instrument, weights)),
        response_url=url,
        subject=subject,
        effective=authored,
        issued=OPENED,
        status={"amended": "amended", "entered-in-error": "entered-in-error"}.get(status, "final"),
    )
    observation["meta"] = {"source": f"{url}/_history/{version}"}
    focus = {
        "resourceType": "QuestionnaireResponse",
        "id": response,
        "meta": {"versionId": str(version)},
        "status": status,
        # as the EHR wrote it: relative inside screening
        "subject": {"reference": "Patient/p1"} if subject == PATIENT else subject,
    }
    entries = [(url, focus), (score_url(response, instrument), observation)]
    return received(topic("score-finalized"), entries + ([(_url(risk), risk)] if risk else []))


def score_url(response: str = "r1", instrument: str = "phq-9") -> str:
    """Where measurement keeps the score of a response."""
    return f"{URLS['measurement']}/Observation/{derived_id(URLS['screening'], NORTH, 'score', response, instrument)}"


def assessment(
    level: str | None = None, *, item_nine: int | None = 1, id_: str = "a1", response: str = "r1"
) -> Resource:
    """The RiskAssessment of an open alert, or of one on which a clinician has recorded this level."""
    cause = _cause(item_nine, response, {"reference": "Patient/p1"})
    body = safety_builders.risk_assessment(assessment_id=id_, cause=cause, policy=safety_policy())
    if level is not None:
        risk_level = safety_policy().risk_levels[level]
        body = safety_builders.final_risk_assessment(body, result=risk_level, recorded=OPENED, clinician=CLINICIAN)
    return {**body, "meta": {"versionId": "2" if level else "1", "lastUpdated": instant(OPENED)}}


def alert(level: str | None = None, *, subject: Resource | None = None, **given: Any) -> ReceivedEvent:
    """Topic safety-alert: an alert has opened, or a clinician has recorded this level."""
    risk = assessment(level, **given)
    cause = _cause(given.get("item_nine", 1), given.get("response", "r1"), subject or {"reference": "Patient/p1"})
    task = safety_builders.safety_task(
        task_id=f"task-{risk['id']}", assessment=f"RiskAssessment/{risk['id']}", cause=cause
    )
    if level is not None:
        risk_level = safety_policy().risk_levels[level]
        task = safety_builders.completed_task(task, result=risk_level, recorded=OPENED, clinician=CLINICIAN)
    task["meta"] = {"versionId": "2" if level else "1"}
    return received(topic("safety-alert"), [(_url(task), task), (_url(risk), risk)])


async def hear(runtime: Runtime, *events: ReceivedEvent, tenant: str = NORTH) -> None:
    """Handles the events one after another, as notifications bring them."""
    handlers = service.listens(runtime)
    for event in events:
        kind = SAFETY_ALERT if "/Task/" in (event.focus or "") else SCORE_FINALIZED
        await handlers[kind](event, tenant)


async def requests(runtime: Runtime, tenant: str = NORTH) -> list[Resource]:
    """Every ServiceRequest, the oldest change first."""
    return await stored(runtime, tenant, "ServiceRequest")


async def the(runtime: Runtime, resource_type: str) -> Resource:
    """The only resource of this type in north."""
    (found,) = await stored(runtime, NORTH, resource_type)
    return found


async def open_request(runtime: Runtime) -> Resource:
    """The only ServiceRequest of a step in north that nobody has withdrawn."""
    stands = [each for each in await requests(runtime) if each["status"] != "revoked"]
    (found,) = [each for each in stands if "basedOn" not in each]
    return found


async def activities(runtime: Runtime) -> list[str]:
    """What each decision did, in order."""
    return [each["activity"]["coding"][0]["code"] for each in await stored(runtime, NORTH, "Provenance")]


async def told(runtime: Runtime) -> list[Announced]:
    """What north's subscribers are told, in order."""
    return await announced(runtime, NORTH)


async def step(runtime: Runtime) -> str | None:
    """The tier in which care has begun."""
    return current_tier(await the(runtime, "EpisodeOfCare"))


async def everything(runtime: Runtime, tenant: str) -> dict[str, Any]:
    """All that a tenant has, knows and is told."""
    kept = await stored_of(runtime, tenant, KEPT)
    async with runtime.database.transaction(tenant) as connection:
        rows = await connection.fetch("SELECT * FROM evidence ORDER BY position")
    return {**kept, "evidence": [tuple(row) for row in rows], "announced": await announced(runtime, tenant)}


def tier(request: Resource) -> str:
    return str(request["category"][0]["coding"][0]["code"])


def rules(request: Resource) -> list[str]:
    """The rule codes that a request names as its reasons."""
    return [concept["coding"][0]["code"] for concept in request["reasonCode"]]


def _cause(item_nine: int | None, response: str, subject: Resource) -> SafetyCause:
    instrument = instruments()[DEFINITIONS["phq-9"].questionnaire]
    (finding,) = instrument.safety(answered("phq-9", [0] * 8 + [item_nine]), OPENED)
    return SafetyCause(finding, f"QuestionnaireResponse/{response}", subject, "2026-11-21T08:50:00Z", OPENED)


def _url(resource: Resource) -> str:
    return f"{URLS['screening']}/{resource['resourceType']}/{resource['id']}"
