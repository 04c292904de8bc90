"""The queue of a service as it is now: who waits, who would be passed by a booking, and where one person stands."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import orjson
from stepwell_shared.canonical import extension_url
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.booking_tables import begun_since, pace_effect, queue_of
from stepwell_referral.builders import booking as builders
from stepwell_referral.data import directory
from stepwell_referral.rules.matching import OFTEN
from stepwell_referral.rules.queue import Entry, Opening, Unexplained, overtaken_by
from stepwell_referral.rules.transitions import WAITING
from stepwell_referral.use_cases.needs import need_of
from stepwell_referral.use_cases.persons import person_of
from stepwell_referral.use_cases.progress import subject_key

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)


@dataclass(frozen=True)
class Waiting:
    """One referral in a queue, and whether its first appointment is made."""

    entry: Entry
    task: Resource
    person: str
    is_booked: bool


async def waiting_at(runtime: Runtime, tenant: str, service_id: str, *, subgroups: bool = False) -> list[Waiting]:
    """Everybody who waits at a service. With `subgroups` the languages of each are looked up too."""
    owner = f"HealthcareService/{service_id}"
    rows = [(_resource.decode(body), entered) for body, entered in await queue_of(runtime.database, tenant, owner)]
    rows = [(task, entered) for task, entered in rows if builders.is_named(task.get("for", {}))]
    if not rows:
        return []
    begun = await begun_since(runtime.database, tenant, owner, min(entered for _, entered in rows))
    found = []
    for task, entered in rows:
        person = subject_key(runtime, task["for"])
        entry = Entry(
            task_id=task["id"],
            priority=task.get("priority", "routine"),
            entered_at=entered,
            subgroups=await languages_of(runtime, tenant, person) if subgroups else frozenset(),
            paused=task["status"] == "on-hold",
            overtaken=len(begun) - bisect_right(begun, entered),
        )
        found.append(Waiting(entry, task, person, builders.has_appointment(task)))
    return found


async def passed_by(
    runtime: Runtime,
    tenant: str,
    *,
    service_id: str,
    slot: Resource,
    person: str,
    priority: str,
    given_reason: str | None,
    now: datetime,
    is_remote: bool = False,
) -> tuple[Mapping[str, int], Waiting | None]:
    """How many people are passed if this person takes the slot, by the code of the reason; and their own referral here.

    Slots for people who are in care pass nobody. Somebody without a referral here stands behind everybody who waits.
    Raises FhirError: BUSINESS_RULE when others who could come are next and no reason is given.
    """
    subgroups = builders.subgroups_of(slot)
    queue = await waiting_at(runtime, tenant, service_id, subgroups=bool(subgroups))
    own = next((each for each in queue if each.person == person and not each.is_booked), None)
    if builders.is_follow_up(slot) or any(each.person == person and each.is_booked for each in queue):
        return {}, None
    others = [each.entry for each in queue if not each.is_booked and each.person != person]
    chosen = own.entry if own is not None else Entry("", priority, now)
    parameters = data.queue_parameters()
    passed = overtaken_by(chosen, Opening(subgroups), others, now, parameters)
    asks = asked_by(slot, is_remote=is_remote)
    if isinstance(passed, Unexplained) and asks:
        # Only now does it matter who of them can come at this time and in this way.
        able = [await _with_fits(runtime, tenant, each, now) for each in queue if each.entry in others]
        passed = overtaken_by(chosen, Opening(subgroups, asks), able, now, parameters)
    if not isinstance(passed, Unexplained):
        return Counter(each.rule for each in passed), own
    if given_reason is None:
        _refuse(passed)
    return {str(given_reason): passed.people}, own


def asked_by(slot: Resource, *, is_remote: bool) -> frozenset[str]:
    """What a slot asks of who takes it: to be there remotely, or in hours in which others work, by its own clock."""
    start = datetime.fromisoformat(str(slot["start"]))
    hour = 1 << (start.weekday() * 24 + start.hour)
    works = bool(hour & directory.parameters().work_hours)
    return frozenset({*(["telehealth"] if is_remote else []), *(["working-hours"] if works else [])})


async def _with_fits(runtime: Runtime, tenant: str, waiting: Waiting, now: datetime) -> Entry:
    """Somebody in the queue with what they cannot make use of, by the barriers that get in their way often."""
    known = await person_of(runtime, tenant, waiting.person)
    barriers = need_of(known, "", now).barriers
    rows = data.queue_data()["slot_fit"]
    unable = {row["fit"] for row in rows if any(barriers.get(each) == OFTEN for each in row["barriers"])}
    return replace(waiting.entry, unable=frozenset(unable))


def moved_queue(before: Resource | None, after: Resource, now: datetime) -> list[Effect]:
    """What makes a service's queue be looked at again: urgent need that it does not meet in time, and re-triage."""
    kind, _, service_id = after.get("owner", {}).get("reference", "").rpartition("/")
    if kind != "HealthcareService":
        return []
    is_retriaged = before is not None and before.get("priority") != after.get("priority")
    is_urgent = after.get("priority", "routine") != "routine" and after["status"] in WAITING
    if is_retriaged or (is_urgent and not _says_keepable(after)):
        return [pace_effect(service_id, None, now)]
    return []


def _says_keepable(task: Resource) -> bool:
    url = extension_url("wait-promise")
    told: Resource = next((each for each in task.get("extension", ()) if each.get("url") == url), {})
    return any(part["url"] == "keepable" and part.get("valueBoolean") is True for part in told.get("extension", ()))


def reason_given(code: str | None) -> str | None:
    """A reason for passing others that is somebody's decision. Raises FhirError INVALID for any other code."""
    allowed = [each["code"] for each in data.queue_data()["overtaking"] if not each["by_rule"]]
    if code is not None and code not in allowed:
        text = f"overtaking-reason is one of {', '.join(allowed)}"
        raise FhirError(
            Category.INVALID, [Issue(text, "value", "Parameters.parameter.where(name='overtaking-reason')")]
        )
    return code


async def languages_of(runtime: Runtime, tenant: str, person: str) -> frozenset[str]:
    """The languages that a person speaks, where their Patient is ours."""
    resource_type, _, id_ = person.partition("/")
    stored = await runtime.store.read(tenant, "Patient", id_) if resource_type == "Patient" else None
    spoken = orjson.loads(stored.body).get("communication", []) if stored is not None and stored.body else []
    codings = (coding for each in spoken for coding in each.get("language", {}).get("coding", ()))
    return frozenset(
        part for coding in codings for code in [coding.get("code", "")] for part in (code, code[:2]) if part
    )


def _refuse(passed: Unexplained) -> None:
    reasons = ", ".join(each["code"] for each in data.queue_data()["overtaking"] if not each["by_rule"])
    text = (
        f"{passed.people} who wait here and could come are next ({passed.rule}); book one of them ($queue says who), or"
        f" give an overtaking-reason: {reasons}"
    )
    raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Appointment.slot")])
