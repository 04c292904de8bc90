"""The team of a person (CareTeam): kept as people take part in their referrals, and ended when nothing is open.

Family, friends and peers are in it as long as a Consent of the person permits that they see who cares for them.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from stepwell_shared.auth.caller import Caller
from stepwell_shared.canonical import code_system, derived_id
from stepwell_shared.consent.sharing import Sharing, actor_of
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.concepts import known_concepts
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import coordination as builders
from stepwell_referral.builders.support import is_coded, part_code
from stepwell_referral.rules.transitions import STATUSES, TERMINAL
from stepwell_referral.use_cases.progress import Progress, content, subject_key
from stepwell_referral.use_cases.taking import until_committed

TEAM, REFERRAL = "CareTeam", "tier-referral"
CLINICIAN, THERAPIST, PART, FAMILY = "clinician", "therapist", "part-of-care", "family-supporter"
# As what a client that acts for a person of the team takes part, by its role.
ROLES = {"coordinator": "coordinator", "community-health-worker": "community-health-worker", "clinician": CLINICIAN}
PARTICIPANTS_MAX = 100
_STAFF = re.compile(r"(^|/)Practitioner(Role)?/[^/]+$")
_RELATED = re.compile(r"(^|/)RelatedPerson/[^/]+$")
_MEMBERS = ("Practitioner", "PractitionerRole", "RelatedPerson", "Organization", "Patient")

Resource = dict[str, Any]


class Member(NamedTuple):
    """Somebody who takes part, and as what (a code of `care-team-role`)."""

    reference: str
    role: str


def team_id(runtime: Runtime, tenant: str, key: str) -> str:
    """The id of the one team of a person."""
    return derived_id(runtime.engine.base_url, tenant, "care-team", key)


async def follow_team(progress: Progress) -> None:
    """Who has referred is in the team from the request on; it rests once no referral of the person is open."""
    before, task = progress.before, progress.task
    if task["status"] == "requested" and (before is None or before["status"] == "draft"):
        asked = str(task.get("requester", {}).get("reference", ""))
        await join(progress.runtime, progress.unit, task["for"], _staff([Member(asked, CLINICIAN)]), progress.now)
    elif task["status"] in TERMINAL and before is not None and not await _is_open_elsewhere(progress):
        await _rest(progress)


async def join_as_caller(progress: Progress, access: Access) -> None:
    """Who says yes to somebody, begins their care or arranges their support takes part in it."""
    before, task = progress.before or {}, progress.task
    taking_part = {"accepted", "in-progress", *(() if is_coded(task, REFERRAL) else ("completed",))}
    if before.get("status") == task["status"] or task["status"] not in taking_part:
        return
    user = access.fhir_user if isinstance(access, Caller) else None
    roles = access.roles if isinstance(access, Caller) else ()
    role = PART if part_code(task) is not None else next((ROLES[each] for each in ROLES if each in roles), None)
    if user is not None and role is not None:
        name = progress.runtime.engine.localise(user)
        await join(progress.runtime, progress.unit, task["for"], _staff([Member(name, role)]), progress.now)


async def join_as_therapists(runtime: Runtime, unit: UnitOfWork, appointment: Resource, person: Resource, now: datetime
                             ) -> None:  # fmt: skip
    """Who has seen the person takes part in their care."""
    actors = (str(each.get("actor", {}).get("reference", "")) for each in appointment.get("participant", ()))
    await join(runtime, unit, person, _staff(Member(each, THERAPIST) for each in actors), now)


async def join(runtime: Runtime, unit: UnitOfWork, person: Resource, members: list[Member], now: datetime) -> None:
    """Adds to the unit of work that these take part in the care of a person; nothing when they do already."""
    if not members:
        return
    id_ = team_id(runtime, unit.tenant, subject_key(runtime, person))
    before = await _team(runtime, unit, id_)
    team = before or builders.care_team(id_, person, now)
    for member in members:
        reference = {"reference": runtime.engine.localise(member.reference)}
        team = builders.with_member(team, reference, _coding(member.role), now)
    if team != before:
        _put(runtime, unit, before, team, now)


async def write_team(runtime: Runtime, write: Write) -> None:
    """A client says who is in a team. Raises FhirError: METHOD_NOT_ALLOWED for a team that is not there, BUSINESS_RULE
    for another person's, for members without a role of ours, and for family without the person's Consent."""
    team, before = write.resource, content(write.previous)
    if team is None or not before:
        raise FhirError(Category.METHOD_NOT_ALLOWED, "a team comes to be with a referral; it can only be changed")
    issues = []
    if subject_key(runtime, before["subject"]) != _key_of(runtime, team):
        issues.append(_issue("subject", "a team stays with its person"))
    participants = team.get("participant", [])
    if len(participants) > PARTICIPANTS_MAX:
        issues.append(_issue("participant", f"at most {PARTICIPANTS_MAX} take part"))
    for number, each in enumerate(participants[:PARTICIPANTS_MAX]):
        issues += _problems(runtime, each, f"participant[{number}]")
    if issues:
        raise FhirError(Category.BUSINESS_RULE, issues)
    await _refuse_unconsented(runtime, write.unit.tenant, team)


async def end_unconsented(runtime: Runtime, tenant: str, person: Resource) -> None:
    """A Consent of the person has changed: family whom none permits any more takes part until now."""
    id_ = team_id(runtime, tenant, subject_key(runtime, person))

    async def attempt() -> None:
        unit, now = UnitOfWork(tenant), runtime.clock()
        team = await _team(runtime, unit, id_)
        gone = [] if team is None else await _unconsented(runtime, tenant, team)
        if team is not None and gone:
            _put(runtime, unit, team, builders.without_members(team, gone, now), now)
            await runtime.store.commit(unit)

    await until_committed(attempt)


async def team_of(runtime: Runtime, tenant: str, key: str) -> Resource | None:
    """The team of a person, if it has come to be."""
    found = content(await runtime.store.read(tenant, TEAM, team_id(runtime, tenant, key)))
    return found or None


async def _refuse_unconsented(runtime: Runtime, tenant: str, team: Resource) -> None:
    gone = set(await _unconsented(runtime, tenant, team))
    places = [n for n, each in enumerate(team.get("participant", ())) if _reference(each) in gone]
    text = "the person's Consent does not name them as somebody who may see this: family takes part where they agree"
    if places:
        raise FhirError(Category.BUSINESS_RULE, [_issue(f"participant[{n}].member", text) for n in places])


async def _unconsented(runtime: Runtime, tenant: str, team: Resource) -> list[str]:
    """Family and peers who take part, whom no Consent permits to see the team."""
    taking_part = [_reference(each) for each in team.get("participant", ()) if builders.is_taking_part(each)]
    related = [each for each in taking_part if _RELATED.search(each)]
    if not related:
        return []
    sharing = Sharing.of(runtime.engine)
    consents = await sharing.consents_about(tenant, subject_key(runtime, team["subject"]))
    localise = runtime.engine.localise
    return [each for each in related if not sharing.decide(consents, actor_of(localise(each)), TEAM, team).permitted]


async def _rest(progress: Progress) -> None:
    id_ = team_id(progress.runtime, progress.tenant, progress.subject_key)
    team = await _team(progress.runtime, progress.unit, id_)
    if team is not None and team.get("status") == "active":
        _put(progress.runtime, progress.unit, team, builders.rested_team(team, progress.now), progress.now)


async def _is_open_elsewhere(progress: Progress) -> bool:
    """Whether another referral of the person is open, or is made in the same commit."""
    for change in progress.unit.changes:
        task = content(change.stored) if change.stored.resource_type == "Task" else {}
        if task.get("id") != progress.stored.id and is_coded(task, REFERRAL) and task["status"] not in TERMINAL:
            return True
    name = "patient" if "reference" in progress.task["for"] else "patient:identifier"
    criteria = [
        (name, progress.subject_key),
        ("code", f"{code_system('task')}|{REFERRAL}"),
        ("status", ",".join(each for each in STATUSES if each not in TERMINAL and each != "draft")),
    ]
    engine = progress.runtime.engine
    query = query_of(engine, engine.registry.types["Task"], criteria, (), strict=True)
    query.count = 2
    rows = await engine.store.search(progress.tenant, *query.page_statement())
    return any(row["id"] != progress.stored.id for row in rows)


async def _team(runtime: Runtime, unit: UnitOfWork, id_: str) -> Resource | None:
    """The team as it is once this unit of work is committed."""
    for change in unit.changes:
        if (change.stored.resource_type, change.stored.id) == (TEAM, id_):
            return content(change.stored)
    return content(await runtime.store.read(unit.tenant, TEAM, id_)) or None


def _put(runtime: Runtime, unit: UnitOfWork, before: Resource | None, team: Resource, now: datetime) -> None:
    """Adds the version after `before`, or takes the place of `before` where that is in the unit of work itself."""
    version = 0 if before is None else int(before["meta"]["versionId"])
    names = [(each.stored.resource_type, each.stored.id) for each in unit.changes]
    if (TEAM, team["id"]) in names:
        unit.changes[names.index((TEAM, team["id"]))] = built(runtime.engine, team, now, version=version)
    else:
        unit.changes.append(built(runtime.engine, team, now, version=version + 1))


def _problems(runtime: Runtime, participant: Resource, place: str) -> list[Issue]:
    reference = runtime.engine.localise(_reference(participant))
    kind = reference.rpartition("/")[0].rpartition("/")[2]
    role = builders.role_of(participant)
    issues = []
    if kind not in _MEMBERS:
        issues.append(_issue(f"{place}.member", f"a member is one of {', '.join(_MEMBERS)}, by reference"))
    if role not in known_concepts(builders.TEAM_ROLES):
        text = f"say as what they take part: {', '.join(known_concepts(builders.TEAM_ROLES))} of {builders.TEAM_ROLES}"
        issues.append(_issue(f"{place}.role", text))
    elif (role == FAMILY) != (kind == "RelatedPerson") and role != "peer-supporter":
        issues.append(_issue(f"{place}.role", "family and friends are RelatedPersons, and staff are not"))
    return issues


def _staff(members: Iterable[Member]) -> list[Member]:
    """Those who are people of the staff: a machine, an organisation or the person takes no such part."""
    return [each for each in members if _STAFF.search(each.reference)]


def _reference(participant: Resource) -> str:
    return str(participant.get("member", {}).get("reference", ""))


def _key_of(runtime: Runtime, team: Resource) -> str:
    subject = team.get("subject", {})
    named = "reference" in subject or "value" in subject.get("identifier", {})
    return subject_key(runtime, subject) if named else ""


def _coding(role: str) -> dict[str, str]:
    return {
        "system": builders.TEAM_ROLES,
        "code": role,
        "display": known_concepts(builders.TEAM_ROLES)[role].display or role,
    }


def _issue(element: str, text: str) -> Issue:
    return Issue(text, "business-rule", f"CareTeam.{element}")
