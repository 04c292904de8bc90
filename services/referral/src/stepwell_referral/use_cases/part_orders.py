"""A part of care is asked of somebody else: physiotherapy, psychology, occupational therapy, social services."""

from typing import Any

from stepwell_shared.auth.caller import Caller
from stepwell_shared.canonical import code_system
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import support as builders
from stepwell_referral.data.loop import words
from stepwell_referral.use_cases.following import follow_up
from stepwell_referral.use_cases.progress import (
    Progress,
    content,
    context_of,
    referral_changed,
    request_of,
    subject_key,
)

# Who may ask for a part: the place that cares, and who has referred.
ASKING = frozenset({"coordinator", "clinician"})
TAKEN_UP = frozenset({"accepted", "in-progress", "on-hold"})

Resource = dict[str, Any]


async def take_part(runtime: Runtime, write: Write) -> None:
    """A Task that is part of a referral which a place has taken up, under its ServiceRequest and for its person.

    Raises FhirError: METHOD_NOT_ALLOWED for who may not ask for it, BUSINESS_RULE with all that does not fit.
    """
    task: Resource = {**(write.resource or {}), "id": write.stored.id}
    access = write.access
    if isinstance(access, Caller) and access.roles and not ASKING & set(access.roles):
        raise FhirError(Category.METHOD_NOT_ALLOWED, "a part of a referral is asked for by coordinators and clinicians")
    whole_id = builders.whole_of(task)
    whole = content(await write.read("Task", whole_id)) if whole_id else {}
    issues = [_issue(place, text) for place, text in await _problems(runtime, write, task, whole)]
    if issues:
        raise FhirError(Category.BUSINESS_RULE, issues)
    request = await request_of(write.read, task)
    context = [] if request is None else [context_of(runtime, task, request)]
    write.unit.effects.append(referral_changed(runtime, write.stored, task, context, write.now))
    await follow_up(Progress(runtime, write.unit, None, task, write.stored, request, write.now))


async def _problems(runtime: Runtime, write: Write, task: Resource, whole: Resource) -> list[tuple[str, str]]:
    if not whole or whole["status"] not in TAKEN_UP or builders.part_code(whole) is not None:
        return [("partOf", "it is part of one referral that a place has taken up and not ended")]
    found = []
    if builders.part_code(task) not in words()["en"]["parts"]:
        names = ", ".join(words()["en"]["parts"])
        found.append(("code", f"the part is one of {names} of {code_system('partial-referral')}"))
    if (task.get("status"), task.get("intent")) != ("requested", "order"):
        found.append(("status", "a part comes as a requested order"))
    identifier: Resource = next(iter(task.get("identifier", ())), {})
    if not (identifier.get("system") and identifier.get("value")):
        found.append(("identifier", "an identifier with its system makes it come once"))
    if _place(runtime, task, "focus") != _place(runtime, whole, "focus"):
        found.append(("focus", "it rests on the ServiceRequest of the whole"))
    named = "reference" in task.get("for", {}) or "value" in task.get("for", {}).get("identifier", {})
    if not named or subject_key(runtime, task["for"]) != subject_key(runtime, whole["for"]):
        found.append(("for", "it is for the person of the whole"))
    if "requester" not in task:
        found.append(("requester", "say who asks"))
    kind, _, id_ = _place(runtime, task, "owner").partition("/")
    owner = content(await write.read(kind, id_)) if kind in {"HealthcareService", "Organization"} else {}
    if not owner or not owner.get("active", True):
        found.append(("owner", "the owner is a HealthcareService or an Organization that is here and active"))
    return found


def _place(runtime: Runtime, task: Resource, name: str) -> str:
    return runtime.engine.localise(str(task.get(name, {}).get("reference", "")))


def _issue(name: str, text: str) -> Issue:
    return Issue(text, "business-rule", f"Task.{name}")
