"""One line of the worklist: a Task as a coordinator needs to know it, read from the Task, its timer and its person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.builders import booking, coordination, support
from stepwell_referral.builders.promises import median_days_of, promised_of
from stepwell_referral.data.loop import time_outs
from stepwell_referral.rules.loop import told
from stepwell_referral.rules.transitions import TERMINAL
from stepwell_referral.rules.waits import urgency_of
from stepwell_referral.use_cases.progress import subject_key
from stepwell_referral.use_cases.worklist_sites import Sites
from stepwell_referral.worklist_queries import OpenRow

REFERRAL = "tier-referral"
KINDS = (REFERRAL, support.PARTIAL, support.INTERIM, support.NEXT_STEP, support.MESSAGE, booking.OUTREACH,
         booking.CONTINGENCY, coordination.ARRANGE_SUPPORT)  # fmt: skip

Resource = dict[str, Any]

decode = msgspec.json.Decoder(Resource, float_hook=Decimal).decode


@dataclass(frozen=True)
class Line:
    """A Task on a list. `kind` is our code of it, `urgency` the class of its priority; `told` are the roles that know
    that it rests too long, `due_at` when the next hear of it. Times are None where they do not apply."""

    id: str
    version: int
    kind: str
    status: str
    urgency: str
    person: str
    subject: str
    owner: str
    place: str
    tier: str
    asked_at: datetime | None
    due_at: datetime | None
    answer_by: datetime | None
    promised_by: datetime | None
    median_days: int | None
    keepable: bool | None
    is_booked: bool
    was_missed: bool
    told: tuple[str, ...]
    state: str
    said: str
    barrier: str
    supports: tuple[str, ...]
    task: Resource

    @property
    def is_open(self) -> bool:
        return self.status not in TERMINAL


def line_of(runtime: Runtime, row: OpenRow, sites: Sites) -> Line:
    """The line of a Task."""
    task = decode(row.body)
    owner = runtime.engine.localise(str(task.get("owner", {}).get("reference", "")))
    service = sites.services.get(owner)
    promise = promised_of(task)
    state = row.state or task["status"]
    return Line(
        id=row.task_id,
        version=row.version,
        kind=kind_of(task),
        status=task["status"],
        urgency=urgency_of(task.get("priority", "routine"), data.urgency_classes()).code,
        person=name_of(runtime, row.person, task["for"]),
        subject=subject_key(runtime, task["for"]) if booking.is_named(task["for"]) else "",
        owner=owner,
        place=str(task.get("owner", {}).get("display") or (sites.name_of(owner) if owner else "")),
        tier=service.tiers[0] if service is not None and service.tiers else "",
        asked_at=_moment(task.get("authoredOn")),
        due_at=row.due_at,
        answer_by=_moment(task.get("restriction", {}).get("period", {}).get("end")),
        promised_by=promise.promised_by if promise is not None else None,
        median_days=median_days_of(task),
        keepable=promise.keepable if promise is not None else None,
        is_booked=booking.has_appointment(task),
        was_missed=booking.was_missed(task),
        told=told(state, (row.step or 0) - 1, time_outs()) if row.step else (),
        state=state,
        said=_said(task),
        barrier=coordination.barrier_of(task) or "",
        supports=tuple(coordination.options_of(task)),
        task=task,
    )


def kind_of(task: Mapping[str, Any]) -> str:
    """Which of our kinds a Task is; "" for another."""
    return next((each for each in KINDS if support.is_coded(task, each)), "")


def name_of(runtime: Runtime, patient: bytes | None, subject: Mapping[str, Any]) -> str:
    """What a person is called: by the copy of their record, else as the referral names them."""
    found = decode(patient) if patient else {}
    names = sorted(found.get("name", ()), key=lambda each: each.get("use") not in {"usual", "official"})
    for each in names:
        text = each.get("text") or " ".join([*each.get("given", ()), *([each["family"]] if "family" in each else [])])
        if text:
            return str(text)
    identifier = subject.get("identifier", {}).get("value")
    reference = runtime.engine.localise(str(subject.get("reference", "")))
    return str(subject.get("display") or reference or identifier or "")


def phones_of(patient: bytes | None) -> list[str]:
    """How somebody can be called."""
    found = decode(patient) if patient else {}
    return [
        str(each["value"]) for each in found.get("telecom", ()) if each.get("system") == "phone" and "value" in each
    ]


def _said(task: Mapping[str, Any]) -> str:
    """The reason of what stands beside a referral, in the words that it has."""
    reason = task.get("reasonCode", {}).get("text") or task.get("statusReason", {}).get("text")
    return str(reason or task.get("description", ""))


def _moment(text: Any) -> datetime | None:
    """A moment; a day alone is none."""
    return datetime.fromisoformat(text) if isinstance(text, str) and "T" in text else None
