"""Facts about somebody's care as other services tell of them: one row each, in the commit of what they come from."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, extension_url
from stepwell_shared.database.functions import Effect
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir import values
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_measurement.care_tables import fact_effect
from stepwell_measurement.rules.care_record import LEFT, Attendance, Fact, Kind
from stepwell_measurement.use_cases.series import STANDING, person_key

VOID = "void"
REFERRALS = frozenset({"tier-referral", "fulfill"})
PART = "partial-referral"
BEGUN = frozenset({"in-progress", "completed"})
ATTENDANCE = {
    "arrived": Attendance.ATTENDED,
    "checked-in": Attendance.ATTENDED,
    "fulfilled": Attendance.ATTENDED,
    "noshow": Attendance.NOT_ATTENDED,
    "cancelled": Attendance.CANCELLED_BY_SERVICE,
}
BY_PERSON = "pat"
"""How the codes of R4's appointment-cancellation-reason begin that name the patient as the one who cancelled."""

SATISFACTION = ("https://stepwell.health/fhir/CodeSystem/instrument", "experience")
USES = {
    (code_system("care-use"), "emergency-visit"): Kind.USE,
    (code_system("care-use"), "admission"): Kind.USE,
    (code_system("care-use"), "care-cost"): Kind.COST,
    SATISFACTION: Kind.SATISFACTION,
}

Resource = Mapping[str, Any]


async def keep_referral(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic referral-changed: when somebody was referred, when care began, and how it ended.

    Raises FhirError BUSINESS_RULE for a Task that does not say its version and time.
    """
    task = received.resources.get(received.focus or "", {})
    with _understood(received, "a Task with its version and its time is needed"):
        if not _is_referral(task):
            return
        person = person_key(runtime, task["for"])
        request = str(task["focus"]["reference"])
        authorisation = next((each for url, each in received.resources.items() if url.endswith(request)), {})
        effects = [fact_effect(person, int(task["meta"]["versionId"]), _referral(task, request, authorisation))]
    await _commit(runtime, tenant, person, effects)


def _is_referral(task: Resource) -> bool:
    codes = {coding.get("code") for coding in task.get("code", {}).get("coding", ())}
    return bool(codes & REFERRALS) and PART not in codes and "reference" in task.get("focus", {}) and "for" in task


def _referral(task: Resource, request: str, authorisation: Resource) -> Fact:
    status, moment = str(task["status"]), datetime.fromisoformat(task["lastModified"])
    return Fact(
        Kind.REFERRAL,
        f"Task/{task['id']}",
        status,
        None if status == "draft" else moment,
        moment if status in BEGUN else None,
        moment if status in LEFT else None,
        what=_code_in(authorisation.get("category", ()), code_system("tier")),
        about=request.rpartition("/")[2],
        path=next((_policy(each) for each in authorisation.get("instantiatesCanonical", ())), None),
    )


async def keep_appointment(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic appointment-changed: who came, who did not, and who cancelled.

    Raises FhirError BUSINESS_RULE for an Appointment that does not say its version.
    """
    appointment = received.resources.get(received.focus or "", {})
    with _understood(received, "an Appointment with its version is needed"):
        person = next(_patients(runtime, appointment), "")
        effects = [fact_effect(person, int(appointment["meta"]["versionId"]), _appointment(appointment))]
    await _commit(runtime, tenant, person, effects)


def _appointment(appointment: Resource) -> Fact:
    attendance = ATTENDANCE.get(str(appointment["status"]))
    reasons = appointment.get("cancelationReason", {}).get("coding", ())
    if attendance is Attendance.CANCELLED_BY_SERVICE and any(
        str(each.get("code", "")).startswith(BY_PERSON) for each in reasons
    ):
        attendance = Attendance.CANCELLED_BY_PERSON
    requests = [str(each["reference"]) for each in appointment.get("basedOn", ()) if "reference" in each]
    return Fact(
        Kind.APPOINTMENT,
        f"Appointment/{appointment['id']}",
        VOID if attendance is None else attendance.value,
        _moment(appointment.get("start")),
        about=requests[0].rpartition("/")[2] if requests else None,
    )


def _patients(runtime: Runtime, appointment: Resource) -> Iterator[str]:
    for participant in appointment.get("participant", ()):
        actor = participant.get("actor", {})
        kind = actor.get("type") or str(actor.get("reference", "")).rpartition("/")[0].rpartition("/")[2]
        if kind == "Patient" and (key := person_key(runtime, actor)):
            yield key


def episode_effects(person: str, version: int, episode: Resource) -> Iterator[Effect]:
    """The facts of one version of an EpisodeOfCare: how it stands, and the step that it is in."""
    source, status = str(episode["id"]), str(episode["status"])
    period = episode.get("period", {})
    ended = _moment(period.get("end")) if status == "finished" else None
    path = _code_in(episode.get("type", ()), code_system("pathway"))
    start = _moment(period.get("start"))
    yield fact_effect(person, version, Fact(Kind.EPISODE, source, status, start, ended_at=ended, path=path))
    for extension in episode.get("extension", ()):
        if extension.get("url") == extension_url("current-step"):
            parts = {part["url"]: part for part in extension["extension"]}
            if "tier" in parts and "since" in parts:
                since, tier = parts["since"]["valueDateTime"], parts["tier"]["valueCoding"]["code"]
                step = Fact(Kind.STEP, f"{source}@{since}", status, _moment(since), what=tier, about=source)
                yield fact_effect(person, version, step)


def observation_effects(
    runtime: Runtime, previous: Resource, observation: Resource, id_: str, version: int
) -> Iterator[Effect]:
    """The facts of an Observation about use, cost or satisfaction; what a correction moves elsewhere is taken back."""
    before = _observed(runtime, previous) if previous else None
    after = _observed(runtime, observation)
    if before is not None and (after is None or before[:2] != after[:2]):
        yield fact_effect(before[0], version, Fact(before[1], id_, VOID, None))
    if after is not None:
        person, kind, status, moment, amount = after
        yield fact_effect(person, version, Fact(kind, id_, status, moment, amount=amount))


def _observed(
    runtime: Runtime, observation: Resource
) -> tuple[str, Kind, str, datetime | None, float | None] | None:  # fmt: skip
    codings = observation.get("code", {}).get("coding", ())
    kinds = (USES.get((each.get("system", ""), each.get("code", ""))) for each in codings)
    kind = next((each for each in kinds if each is not None), None)
    person = person_key(runtime, observation.get("subject", {})) if kind is not None else ""
    if kind is None or not person:
        return None
    stands = observation.get("status") in STANDING
    said = observation.get("valueInteger", observation.get("valueQuantity", {}).get("value"))
    if said is None and kind is not Kind.USE:
        stands = False
    moment = _moment(observation.get("effectiveDateTime") or observation.get("effectivePeriod", {}).get("start"))
    return person, kind, "final" if stands else VOID, moment, None if said is None else float(said)


async def _commit(runtime: Runtime, tenant: str, person: str, effects: list[Effect]) -> None:
    if person:
        await runtime.store.commit(UnitOfWork(tenant, effects=effects))


def _moment(said: Any) -> datetime | None:
    """The first moment that a date or a time of FHIR means."""
    period = values.period({"start": said}) if said else None
    return period[0] if period else None


def _code_in(concepts: Any, system: str) -> str | None:
    codings = (coding for concept in concepts for coding in concept.get("coding", ()))
    return next((str(each["code"]) for each in codings if each.get("system") == system and "code" in each), None)


def _policy(canonical: str) -> str:
    """The pathway that a policy is for: its name in its canonical URL."""
    return canonical.partition("|")[0].rpartition("/")[2]


@contextmanager
def _understood(received: ReceivedEvent, text: str) -> Iterator[None]:
    """Refuses for good what does not say what is needed."""
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", received.expression)]) from error
