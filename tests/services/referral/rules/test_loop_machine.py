"""The loop as a machine: Task, ServiceRequest, parts and Appointments moved by anybody in any order.

Only what the contract allows succeeds, and nothing that is open is without somebody who is told.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stepwell_referral.data.loop import reasons, time_outs
from stepwell_referral.rules.authorisation import Step, next_step
from stepwell_referral.rules.booking import check_move
from stepwell_referral.rules.loop import Follow, Moved, Reason, first_due, follows, may_complete, next_due, told
from stepwell_referral.rules.support import check_support
from stepwell_referral.rules.transitions import (
    STATUSES,
    TERMINAL,
    Actor,
    check_transition,
    service_request_status,
)

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
# The contract written out by hand (Task drives, ServiceRequest authorises): from, who, to.
CONTRACT = {
    ("draft", "requester"): {"requested", "cancelled"},
    ("requested", "requester"): {"cancelled"},
    ("received", "requester"): {"cancelled"},
    ("accepted", "requester"): {"cancelled"},
    ("in-progress", "requester"): {"cancelled"},
    ("on-hold", "requester"): {"cancelled"},
    ("requested", "owner"): {"received", "accepted", "rejected"},
    ("received", "owner"): {"accepted", "rejected"},
    ("accepted", "owner"): {"in-progress", "on-hold", "cancelled", "failed"},
    ("in-progress", "owner"): {"completed", "failed", "on-hold"},
    ("on-hold", "owner"): {"in-progress", "accepted", "cancelled"},
}
# R4 appointmentstatus by hand: who holds no place has nothing to attend, what is over stays over.
APPOINTMENTS = {
    "": {"proposed", "pending", "booked", "waitlist"},
    "proposed": {"pending", "booked", "cancelled", "entered-in-error"},
    "waitlist": {"pending", "booked", "cancelled", "entered-in-error"},
    "pending": {"booked", "cancelled", "entered-in-error"},
    "booked": {"arrived", "checked-in", "fulfilled", "noshow", "cancelled", "entered-in-error"},
    "checked-in": {"arrived", "fulfilled", "noshow", "cancelled", "entered-in-error"},
    "arrived": {"fulfilled", "cancelled", "entered-in-error"},
    "noshow": {"arrived", "entered-in-error"},
    "fulfilled": set(),
    "cancelled": set(),
    "entered-in-error": set(),
}
ACTORS = ("requester", "owner", "stranger")


@dataclass
class Task:
    """A Task with the time at which somebody is told of it."""

    status: str
    due_at: datetime | None = None
    state: str = ""
    step: int = 0
    whole: "Task | None" = None
    only_parts: bool = False
    asked_to_cancel: bool = False
    follows: "Task | None" = None

    @property
    def is_open(self) -> bool:
        return self.status not in TERMINAL


@dataclass
class World:
    """What is there of one ServiceRequest."""

    status: str = "active"
    intent: str = "proposal"
    now: datetime = START
    referrals: list[Task] = field(default_factory=list)
    parts: list[Task] = field(default_factory=list)
    beside: list[Task] = field(default_factory=list)
    interim: Task | None = None
    appointments: list[str] = field(default_factory=list)
    told_person: int = 0
    told_team: list[tuple[str, ...]] = field(default_factory=list)


class Loop(RuleBasedStateMachine):
    """Requester, owner and strangers move what is there; time passes; routing changes its mind."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self._has_begun = False

    @initialize(intent=st.sampled_from(["proposal", "plan"]))
    def assigned(self, intent: str) -> None:
        self.world.intent = intent
        self._hear()

    @rule(status=st.sampled_from(["active", "on-hold", "revoked", "completed"]), accepted=st.booleans())
    def routing_says(self, status: str, accepted: bool) -> None:
        world = self.world
        if world.status in {"revoked", "completed"}:
            return
        world.status = status
        world.intent = "plan" if accepted else world.intent
        self._hear()

    @rule(data=st.data(), actor=st.sampled_from(ACTORS), after=st.sampled_from(STATUSES))
    def somebody_moves(self, data: st.DataObject, actor: str, after: str) -> None:
        world = self.world
        tasks = [*world.referrals, *world.parts]
        if not tasks:
            return
        task = data.draw(st.sampled_from(tasks))
        allowed = set(CONTRACT.get((task.status, actor), ()))
        if actor == "owner" and task.asked_to_cancel and task.is_open and task.status != "draft":
            allowed |= {"cancelled"}
        refusal = check_transition(task.status, after, actor, cancel_requested=task.asked_to_cancel)
        assert (refusal is None) is (after in allowed or after == task.status)
        if refusal is not None:
            assert set(refusal.allowed) == allowed
            return
        open_parts = [part for part in world.parts if part.whole is task and part.is_open]
        if after == "completed" and not may_complete(len(open_parts)):
            assert open_parts
            return
        if task.status == "draft" and after == "requested" and not self._authorised():
            return
        reason = data.draw(st.sampled_from([None, *reasons().values()]))
        self._move(task, after, reason)

    @rule(data=st.data())
    @precondition(lambda self: any(task.status == "in-progress" for task in self.world.referrals))
    def a_part_is_asked_for(self, data: st.DataObject) -> None:
        whole = data.draw(st.sampled_from([task for task in self.world.referrals if task.status == "in-progress"]))
        part = Task("requested", whole=whole)
        self.world.parts.append(part)
        self._set_timer(part)
        whole.only_parts = data.draw(st.booleans())

    @rule(data=st.data(), after=st.sampled_from([each for each in APPOINTMENTS if each]), is_new=st.booleans())
    def somebody_moves_an_appointment(self, data: st.DataObject, after: str, is_new: bool) -> None:
        """Only what R4 allows succeeds, and the refusal names what does."""
        world = self.world
        if is_new or not world.appointments:
            world.appointments.append("")
        number = data.draw(st.integers(0, len(world.appointments) - 1))
        before = world.appointments[number]
        refusal = check_move(before or None, after)
        assert (refusal is None) is (after in APPOINTMENTS[before] or after == before)
        if refusal is not None:
            assert set(refusal.allowed) == APPOINTMENTS[before]
            return
        world.appointments[number] = after

    @rule(data=st.data())
    def who_asked_wants_it_to_end(self, data: st.DataObject) -> None:
        if self.world.referrals:
            data.draw(st.sampled_from(self.world.referrals)).asked_to_cancel = True

    @rule(data=st.data(), after=st.sampled_from(STATUSES))
    @precondition(lambda self: self.world.beside)
    def people_decide(self, data: st.DataObject, after: str) -> None:
        task = data.draw(st.sampled_from(self.world.beside))
        if check_support(task.status, after) is None:
            task.status = after
            task.due_at = None if not task.is_open else task.due_at

    @rule(hours=st.sampled_from([1, 30, 200, 3000]))
    def time_passes(self, hours: int) -> None:
        world = self.world
        world.now += timedelta(hours=hours)
        for task in self._timed():
            if task.due_at is not None and task.due_at <= world.now:
                recipients = told(task.state, task.step, time_outs())
                assert recipients, task.state
                world.told_team.append(recipients)
                task.step += 1
                task.due_at = next_due(task.state, "routine", world.now, time_outs())

    @invariant()
    def whatever_is_open_has_a_time_at_which_somebody_is_told(self) -> None:
        for task in self._timed():
            assert task.is_open is (task.due_at is not None), (task.status, task.due_at)

    @invariant()
    def nothing_is_overdue_untold_for_longer_than_twelve_weeks(self) -> None:
        for task in self._timed():
            assert task.due_at is None or task.due_at <= self.world.now + timedelta(weeks=12)

    @invariant()
    def a_part_never_outlives_its_whole(self) -> None:
        for part in self.world.parts:
            assert part.whole is not None
            assert part.whole.is_open or not part.is_open

    @invariant()
    def who_was_refused_has_another_place_or_somebody_who_decides(self) -> None:
        world = self.world
        for task in world.referrals:
            if task.status in {"rejected", "failed"}:
                assert any(each.follows is task for each in [*world.referrals, *world.beside])

    @invariant()
    def support_does_not_end_while_somebody_waits_for_care_to_begin(self) -> None:
        world = self.world
        is_waiting = any(t.status in {"requested", "received", "accepted", "on-hold"} for t in world.referrals)
        assert world.interim is None or world.interim.is_open or not is_waiting or self._has_begun

    def _authorised(self) -> bool:
        return self.world.status == "active" and self.world.intent == "plan"

    def _timed(self) -> list[Task]:
        return [*self.world.referrals, *self.world.parts, *self.world.beside]

    def _hear(self) -> None:
        world = self.world
        newest = world.referrals[-1] if world.referrals else None
        step = next_step(world.status, world.intent, newest.status if newest else None).outcome
        if step is Step.PREPARE:
            world.referrals.append(Task("draft"))
            self._set_timer(world.referrals[-1])
        elif step is Step.REQUEST:
            if newest is None:
                newest = Task("draft")
                world.referrals.append(newest)
            self._move(newest, "requested", None)
        elif step is Step.CANCEL:
            assert newest is not None
            assert check_transition(newest.status, "cancelled", Actor.REQUESTER) is None
            self._move(newest, "cancelled", None)
        elif step is Step.TELL:
            assert newest is not None
            assert newest.is_open
            newest.due_at, newest.state, newest.step = world.now, "withdrawn", 0

    def _move(self, task: Task, after: str, reason: Reason | None) -> None:
        world, before = self.world, task.status
        if before == after:
            return
        task.status = after
        self._has_begun = self._has_begun or after == "in-progress"
        self._set_timer(task)
        whole = task.whole
        others = [part for part in world.parts if part is not task and part.whole is whole and part.is_open]
        is_last = whole is not None and whole.only_parts and whole.status == "in-progress" and not others
        moved = Moved(before, after, reason, is_part=whole is not None, is_last_part=is_last and after in TERMINAL)
        for each in follows(moved):
            if each is Follow.START_INTERIM and world.interim is None:
                world.interim = Task("requested")
            elif each in {Follow.COMPLETE_INTERIM, Follow.END_INTERIM} and world.interim is not None:
                world.interim.status = "completed"
            elif each is Follow.REFER_ELSEWHERE:
                world.referrals.append(Task("requested", follows=task))
                self._set_timer(world.referrals[-1])
            elif each is Follow.TELL_TEAM:
                world.beside.append(Task("requested", world.now, "next-step", follows=task))
            elif each is Follow.CANCEL_PARTS:
                for part in world.parts:
                    if part.whole is task and part.is_open:
                        part.status, part.due_at = "cancelled", None
            elif each is Follow.COMPLETE_WHOLE:
                assert whole is not None
                whole.status, whole.due_at = "completed", None
            elif each is Follow.TELL_PERSON:
                world.told_person += 1
        if service_request_status(after) == "active":
            assert world.status == "active", "nothing is requested without authority"

    def _set_timer(self, task: Task) -> None:
        task.due_at = first_due(task.status, "routine", self.world.now, None, time_outs())
        task.state, task.step = task.status, 0


TestLoop = Loop.TestCase
TestLoop.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
