"""One view of what makes it hard for a person to take part, what was arranged for that and by whom, and their team."""

from typing import Any

import msgspec
from stepwell_shared.canonical import code_system
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.concepts import NAMELESS, known_concepts
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import coordination as builders
from stepwell_referral.data.directory import parameters
from stepwell_referral.rules.support import OPEN
from stepwell_referral.use_cases.arranging import ARRANGING, left_open, open_referral, tasks_of
from stepwell_referral.use_cases.match_places import in_reach
from stepwell_referral.use_cases.needs import need_of
from stepwell_referral.use_cases.persons import person_of
from stepwell_referral.use_cases.progress import subject_key
from stepwell_referral.use_cases.teams import TEAM, team_id

FREQUENCIES = code_system("form-answer")
ARRANGED, LOOKED_FOR, NOT_ARRANGED = "arranged", "looked-for", "not-arranged"
BY_PLACE, NOBODY = "answered-by-place", "nobody-looks"

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource)


async def care_coordination(runtime: Runtime, request: Request) -> Response:
    """`Patient/[id]/$care-coordination`: barriers with what answers them, supports with who arranged what and what is
    open, and who takes part. What the caller could not read by itself is left out."""
    tenant, now = request.access.tenant, runtime.clock()
    person = {"reference": f"Patient/{request.id}"}
    known = await in_reach(runtime, request, await person_of(runtime, tenant, subject_key(runtime, person)))
    form = {} if known.form is None else _resource.decode(known.form)
    granted = _granted(request, "Task")
    tasks = [] if granted is None else [
        task for _, task in await tasks_of(
            runtime, tenant, person, [("code", ARRANGING), ("_sort", "-authored-on")], granted
        )
    ]  # fmt: skip
    found: list[Resource] = [{"name": "person", "valueReference": person}]
    barriers = need_of(known, "", now).barriers
    waiting = await open_referral(runtime, tenant, person) if barriers else None
    left = [] if waiting is None else [each.barrier for each in await left_open(runtime, tenant, known, waiting[1])]
    for code, frequency in barriers.items():
        answering = [task for task in tasks if builders.barrier_of(task) == code]
        state = _state(answering, is_answered=waiting is not None and code not in left)
        found.append(_barrier(code, frequency, state, form))
    found += [_support(task) for task in tasks]
    found += await _team(runtime, request, subject_key(runtime, person))
    return Response(200, encode({"resourceType": "Parameters", "parameter": found}))


def _barrier(code: str, frequency: str, state: str, form: Resource) -> Resource:
    """One barrier that is declared now: how often, where that stands, and how it is answered."""
    parts: list[Resource] = [
        {"name": "code", "valueCoding": _coding(builders.BARRIERS, code)},
        {"name": "frequency", "valueCoding": _coding(FREQUENCIES, frequency)},
        {"name": "state", "valueCode": state},
        {"name": "declared-in", "valueReference": {"reference": f"QuestionnaireResponse/{form['id']}"}},
    ]
    if "authored" in form:
        parts.append({"name": "declared", "valueDateTime": form["authored"]})
    remedy = parameters().remedies.get(code)
    supports = remedy.supports if remedy is not None else ()
    parts += [{"name": "answered-by", "valueCoding": _coding(builders.SUPPORTS, each)} for each in supports]
    parts.append({"name": "community", "valueUrl": f"HealthcareService/$match?helps-with={code}"})
    return {"name": "barrier", "part": parts}


def _state(tasks: list[Resource], *, is_answered: bool) -> str:
    """How a barrier stands by its Tasks, the newest first; `is_answered` when the place of the referral does that."""
    if any(task["status"] in OPEN for task in tasks):
        return LOOKED_FOR
    if not tasks:
        return BY_PLACE if is_answered else NOBODY
    return ARRANGED if tasks[0]["status"] == "completed" else NOT_ARRANGED


def _support(task: Resource) -> Resource:
    """One Task of support: what it answers, how it stands, by whom, and what was arranged."""
    codes, givers = builders.arranged_in(task)
    barrier = builders.barrier_of(task)
    parts: list[Resource] = [
        {"name": "task", "valueReference": {"reference": f"Task/{task['id']}"}},
        {"name": "status", "valueCode": task["status"]},
        {"name": "open", "valueBoolean": task["status"] in OPEN},
        {"name": "asked", "valueDateTime": task["authoredOn"]},
        {"name": "changed", "valueDateTime": task["lastModified"]},
    ]
    if barrier is not None:
        parts.append({"name": "barrier", "valueCoding": _coding(builders.BARRIERS, barrier)})
    if "owner" in task:
        parts.append({"name": "owner", "valueReference": task["owner"]})
    parts += [{"name": "arranged", "valueCoding": _coding(builders.SUPPORTS, code)} for code in codes]
    parts += [{"name": "given-by", "valueReference": giver} for giver in givers]
    if "text" in task.get("statusReason", {}):
        parts.append({"name": "reason", "valueString": task["statusReason"]["text"]})
    return {"name": "support", "part": parts}


async def _team(runtime: Runtime, request: Request, key: str) -> list[Resource]:
    granted = _granted(request, TEAM)
    if granted is None:
        return []
    engine, tenant = runtime.engine, request.access.tenant
    criteria = [("_id", team_id(runtime, tenant, key))]
    query = query_of(engine, engine.registry.types[TEAM], criteria, granted, strict=True)
    rows = await engine.store.search(tenant, *query.page_statement())
    if not rows:
        return []
    team = _resource.decode(rows[0]["body"])
    found: list[Resource] = [{"name": "team", "valueReference": {"reference": f"{TEAM}/{team['id']}"}}]
    return found + [_member(each) for each in team.get("participant", ()) if builders.is_taking_part(each)]


def _member(participant: Resource) -> Resource:
    role = builders.role_of(participant)
    parts: list[Resource] = [{"name": "who", "valueReference": participant["member"]}]
    if role is not None:
        parts.append({"name": "role", "valueCoding": _coding(builders.TEAM_ROLES, role)})
    if "start" in participant.get("period", {}):
        parts.append({"name": "since", "valueDateTime": participant["period"]["start"]})
    return {"name": "member", "part": parts}


def _granted(request: Request, kind: str) -> tuple[str, ...] | None:
    """The searches that narrow what the caller sees of a type; None when it sees nothing of it."""
    try:
        return tuple(request.access.filters(kind, Interaction.SEARCH_TYPE))
    except FhirError:
        return None


def _coding(system: str, code: str) -> Resource:
    display = known_concepts(system).get(code, NAMELESS).display
    return {"system": system, "code": code, **({"display": display} if display else {})}
