"""What somebody's course says: step, time in it, contacts, holds, agreements, boosters, under the names of policies.

It rests on rows that were kept as things happened, so that it can be told again for any moment.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from stepwell_routing.rules.effects import PROGRESS
from stepwell_routing.rules.evidence_names import measure_of
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.policies import Policy
from stepwell_routing.tables import (
    AGREED,
    ATTENDED,
    BOOSTER,
    EXIT,
    HOLD,
    MANUAL_TRIAGE,
    MISSED,
    RED_FLAG,
    RELIABLE,
    STEP,
    Known,
)
from stepwell_routing.use_cases.evidence import newest_versions

RELEASED = "released"
AGREEMENTS = {"step-down": "step_down_agreed", "exit": "exit_agreed", "advance": "advance_agreed"}
WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Course:
    """The rows of one person's course: steps entered in order, and what was said since."""

    steps: Sequence[Known]
    rows: Sequence[Known]
    exited_at: datetime | None

    @property
    def since(self) -> datetime | None:
        """Since when the person is in their step."""
        return self.steps[-1].observed_at if self.steps else None

    @property
    def held(self) -> Known | None:
        """The hold that a person has set and nobody has released."""
        last = self.last(HOLD)
        return None if last is None or last.value == RELEASED else last

    def last(self, name: str) -> Known | None:
        """The newest row of a name."""
        return max((row for row in self.rows if row.name == name), key=lambda row: row.observed_at, default=None)

    def since_step(self, name: str) -> list[Known]:
        """The rows of a name since the present step began."""
        since = self.since
        return [row for row in self.rows if row.name == name and (since is None or row.observed_at >= since)]


def course_of(known: Iterable[Known]) -> Course:
    """The course since the last exit, out of everything that is known."""
    rows = sorted((row for row in newest_versions(known) if row.value is not None), key=lambda row: row.observed_at)
    exits = [row for row in rows if row.name == EXIT]
    exited_at = exits[-1].observed_at if exits else None
    steps = [row for row in rows if row.name == STEP and (exited_at is None or row.observed_at > exited_at)]
    return Course(steps, rows, exited_at)


def course_values(
    policy: Policy, course: Course, now: datetime, *, status: str | None, started_at: datetime | None, is_overdue: bool
) -> dict[str, Scalar]:
    """The values of the course by the names of the policy's inputs; `status` and `started_at` are the episode's.

    What routing itself keeps is false where it is not so: a pause, a review that is overdue. What only people know,
    such as whether somebody agrees, is missing until one of them has said it.
    """
    has_episode = status is not None
    found: dict[str, Scalar | None] = {
        "red_flag": _is_open(course, RED_FLAG),
        "manual_triage": _is_open(course, MANUAL_TRIAGE),
        "episode_status": status,
        "episode_weeks": None if started_at is None else (now - started_at) // WEEK,
        "exit_weeks": None if course.exited_at is None else (now - course.exited_at) // WEEK,
        "boosters_done": _boosters_done(course),
        "paused": course.held is not None or status == "onhold" if has_episode else None,
        "paused_weeks": None if course.held is None else (now - course.held.observed_at) // WEEK,
        "review_overdue": is_overdue if has_episode else None,
        **_step_values(policy, course, now),
        **_past_values(policy, course),
        **_reliable_values(course),
    }
    named = {each.name for each in policy.inputs} | {name for names in policy.derived.values() for _, name in names}
    return {name: value for name, value in found.items() if value is not None and name in named}


def _boosters_done(course: Course) -> int | None:
    """Since the step began, or since the end of care; before both there are none to count."""
    if course.steps:
        return len(course.since_step(BOOSTER))
    if course.exited_at is None:
        return None
    return sum(row.name == BOOSTER and row.observed_at >= course.exited_at for row in course.rows)


def _is_open(course: Course, name: str) -> bool | None:
    """That something is open is known; that nothing is, only from somebody who has looked."""
    return True if any(row.name == name for row in course.rows) else None


def _step_values(policy: Policy, course: Course, now: datetime) -> Mapping[str, Scalar | None]:
    """Of the step in which care has begun. Without any contact the weeks count from its start."""
    rank, since = _rank(policy, course.steps[-1]) if course.steps else None, course.since
    if rank is None or since is None:
        return {}
    attended = course.since_step(ATTENDED)
    last_contact = attended[-1].observed_at if attended else since
    agreed = {
        name: rows[-1].value == "true"
        for code, name in AGREEMENTS.items()
        if (rows := course.since_step(AGREED + code))
    }
    return {
        "step": rank,
        "current_tier": rank,
        "step_code": course.steps[-1].value,
        "step_weeks": (now - since) // WEEK,
        "attended": len(attended),
        "missed": len(course.since_step(MISSED)),
        "contact_weeks": (now - last_contact) // WEEK,
        **agreed,
    }


def _past_values(policy: Policy, course: Course) -> Mapping[str, Scalar | None]:
    """Of the steps before: a step that was left for more care was without enough benefit, one left for less has helped.

    A step of kind progress is more independence: who advances into it was helped by the step before, and who returns
    from it had a setback, so that the same step still is the one that last helped. The step in which care ended has
    helped as well; who comes back, at whatever step, has left none of them for it.
    """
    progress = {step.rank for step in policy.steps if step.kind == PROGRESS}
    without: list[int] = []
    known = False
    helped: list[int] = []
    for ranks, is_over in _spells(policy, course):
        known = True
        for before, after in pairwise(ranks):
            if before < after and after not in progress:
                without.append(before)
            elif (after in progress) if before < after else (before > after and before not in progress):
                helped.append(before)
        if is_over and not (helped and ranks[-1] in progress):
            helped.append(ranks[-1])
    steps = [(rank, row.observed_at) for row in course.steps if (rank := _rank(policy, row)) is not None]
    previous = steps[-2] if len(steps) > 1 else None
    return {
        "course_without_benefit_step": max(without, default=None),
        "tier_3_course_without_benefit": max(without, default=0) >= 3 if known else None,
        "last_helped_step": helped[-1] if helped else None,
        "previous_step": None if previous is None else previous[0],
        "previous_step_weeks": None if previous is None else (steps[-1][1] - previous[1]) // WEEK,
    }


def _spells(policy: Policy, course: Course) -> Iterator[tuple[list[int], bool]]:
    """The ranks of the steps of each spell of care in order, and whether care has ended with it."""
    ranks: list[int] = []
    for row in course.rows:
        rank = _rank(policy, row) if row.name == STEP else None
        if rank is not None:
            ranks.append(rank)
        elif row.name == EXIT and ranks:
            yield ranks, True
            ranks = []
    if ranks:
        yield ranks, False


def _reliable_values(course: Course) -> dict[str, Scalar | None]:
    """What measurement says of each instrument: `phq-9` is the policy's `phq9`."""
    rows = [row for row in course.rows if row.name.startswith(RELIABLE)]
    return {f"{measure_of(row.name.removeprefix(RELIABLE))}_reliable": row.value for row in rows}


def _rank(policy: Policy, row: Known) -> int | None:
    return next((step.rank for step in policy.steps if step.code == row.value), None)
