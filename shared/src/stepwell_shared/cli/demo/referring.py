"""What a course means for its referrals: one for each step of care, with what its place says of it and when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, instant
from stepwell_shared.cli.demo.courses import Attendance, Contact, Course, Ending

# The states that a referral goes through, in order; the three last ones end it.
ORDER = ("requested", "accepted", "in-progress", "cancelled", "completed")
LAST = {Ending.COMPLETED: "completed", Ending.LEFT: "cancelled", Ending.NEVER_BEGAN: "cancelled"}
# Nobody is discharged for missed visits alone: the person has said so.
WENT = {
    "coding": [{"system": code_system("decline-reason"), "code": "declined-by-person"}],
    "text": "The person did not want to go on.",
}

Patch = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of care; contacts come with their number in the course."""

    tier: str
    asked_at: datetime
    began_at: datetime | None
    ended_at: datetime | None
    last: str | None
    contacts: tuple[tuple[int, Contact], ...]

    def moves(self) -> Iterator[tuple[str, Patch]]:
        """The states after `requested`, each with the patch that says it, dated as it was."""
        if self.began_at is not None:
            yield "accepted", _patch("accepted", self.asked_at)
            period = {"start": instant(self.began_at)}
            yield "in-progress", [*_patch("in-progress", self.began_at), _add("executionPeriod", period)]
        if self.last is not None and self.ended_at is not None:
            end = [] if self.began_at is None else [_add("executionPeriod/end", instant(self.ended_at))]
            why = [_add("statusReason", WENT)] if self.last == "cancelled" else []
            yield self.last, [*_patch(self.last, self.ended_at), *end, *why]


def steps_of(course: Course) -> Iterator[Step]:
    """The steps of a course in order; one that another follows is completed when that one begins."""
    contacts = list(enumerate(course.contacts))
    for place, (asked_at, tier) in enumerate(course.steps):
        following = course.steps[place + 1][0] if place + 1 < len(course.steps) else None
        mine = [
            (number, each)
            for number, each in contacts
            if (place == 0 or asked_at <= each.at) and (following is None or each.at < following)
        ]
        came = [each.at for _, each in mine if each.attendance is Attendance.ATTENDED]
        yield Step(
            tier=tier,
            asked_at=asked_at,
            began_at=came[0] if came else None,
            ended_at=course.ended_at if following is None else following,
            last=LAST.get(course.ending) if following is None else "completed",
            contacts=tuple(mine),
        )


def _patch(status: str, moment: datetime) -> Patch:
    return [{"op": "replace", "path": "/status", "value": status}, _add("lastModified", instant(moment))]


def _add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": f"/{path}", "value": value}
