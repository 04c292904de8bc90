"""Escalation as pure rules: when somebody is told, who is on duty then, and that somebody always is told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.escalation import OnCall, first_due, next_due, parse_on_call, steps_due, told
from stepwell_screening.rules.safety_policy import Ladder

OPENED = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)  # a Friday
DEADLINE = OPENED + timedelta(hours=4)
AT_ONCE, IN_DAYS = Ladder((15, 30, 60), 60), Ladder((), 1440)
DAY = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}
NIGHT = {"days": ["fri"], "from": "18:00", "to": "08:00"}


def role(code: str, *hours: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"code": code, "display": code, "recipient": {"display": code}, "hours": list(hours), **more}


def site(*roles: dict[str, Any], zone: str = "UTC", **more: Any) -> dict[str, Any]:
    return {"zone": zone, "roles": list(roles), "lastResort": role("last"), **more}


def who(on_call: OnCall, step: int, steps: int = 0, now: datetime = OPENED) -> list[str]:
    return [each.code for each in told(on_call, step, steps, now).roles]


class TestRefusals:
    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"zone": "Nowhere/Land"}, "time zone"),
            ({"lastResort": None}, "objects"),
            ({"roles": [{"code": "a", "display": "a"}]}, "recipient"),
            ({"roles": [role("a", recipient={})]}, "recipient"),
            ({"roles": [role("a"), role("a")]}, "same code"),
            ({"roles": [role("a", {"days": ["mon"], "from": "8", "to": "18:00"})]}, "HH:MM"),
            ({"roles": [role("a", {"days": ["mon"], "from": "08:60", "to": "18:00"})]}, "HH:MM"),
            ({"roles": [role("a", {"days": ["mon"], "from": "08:00", "to": "24:01"})]}, "HH:MM"),
            ({"roles": [role("a", {"days": ["monday"], "from": "08:00", "to": "18:00"})]}, "mon, tue"),
            ({"roles": [role("a", {"days": [], "from": "08:00", "to": "18:00"})]}, "mon, tue"),
            ({"lastResort": role("last", DAY)}, "always there"),
            ({"ladders": {"at-once": {"afterMinutes": [30, 15], "thenEveryMinutes": 1}}}, "one after the other"),
            ({"ladders": {"at-once": {"afterMinutes": [], "thenEveryMinutes": 0}}}, "positive"),
            ({"rota": []}, "not known: rota"),
        ],
    )
    def test_what_would_leave_nobody_told_is_refused_in_words(self, changed: dict[str, Any], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            parse_on_call({**site(role("a")), **changed})

    @pytest.mark.parametrize("missing", ["zone", "roles", "lastResort"])
    def test_what_is_missing_is_named(self, missing: str) -> None:
        with pytest.raises(ValueError, match=missing):
            parse_on_call({name: value for name, value in site(role("a")).items() if name != missing})


class TestWho:
    def test_roles_have_their_turn_in_their_order_and_then_the_last_resort(self) -> None:
        on_call = parse_on_call(site(role("a"), role("b")))
        assert [who(on_call, step) for step in range(4)] == [["a"], ["b"], ["last"], ["last"]]

    def test_whoever_is_off_duty_is_passed_over(self) -> None:
        on_call = parse_on_call(site(role("a", DAY), role("b", NIGHT), role("c")))
        assert [who(on_call, step) for step in range(3)] == [["b"], ["c"], ["last"]]

    @pytest.mark.parametrize("step", [0, 3])
    def test_when_nobody_is_on_call_the_last_resort_is_told_at_once_and_why(self, step: int) -> None:
        answer = told(parse_on_call(site(role("a", DAY))), step, 0, OPENED)
        assert [each.code for each in answer.roles] == ["last"]
        assert "Nobody is on call" in answer.remark

    def test_a_site_without_any_role_has_its_last_resort(self) -> None:
        assert who(parse_on_call(site()), 0) == ["last"]

    def test_after_a_long_outage_everybody_is_told_whose_turn_has_passed(self) -> None:
        on_call = parse_on_call(site(role("a"), role("b")))
        assert who(on_call, 0, steps=3) == ["a", "b", "last"]
        assert who(on_call, 1, steps=2) == ["b"]

    @pytest.mark.parametrize(
        ("hour", "minute", "on_duty"), [(17, 59, False), (18, 0, True), (23, 59, True), (31, 59, True), (32, 0, False)]
    )
    def test_a_night_shift_goes_on_after_midnight(self, hour: int, minute: int, on_duty: bool) -> None:
        on_call = parse_on_call(site(role("a", NIGHT)))
        moment = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(hours=hour, minutes=minute)
        assert on_call.on_duty(on_call.roles[0], moment) is on_duty

    def test_hours_are_those_of_the_sites_zone(self) -> None:
        on_call = parse_on_call(site(role("a", DAY), zone="Europe/Berlin"))
        seven_in_utc = datetime(2026, 11, 20, 7, 0, tzinfo=UTC)
        assert on_call.on_duty(on_call.roles[0], seven_in_utc)
        assert not on_call.on_duty(on_call.roles[0], seven_in_utc + timedelta(hours=10))

    def test_the_shipped_default_always_finds_somebody_else_at_each_step(self) -> None:
        on_call = parse_on_call(data.on_call())
        assert [who(on_call, step) for step in range(3)] == [["duty-clinician"], ["clinical-lead"], ["last-resort"]]


class TestWhen:
    def test_the_first_step_comes_after_its_minutes_or_at_the_deadline(self) -> None:
        assert first_due(AT_ONCE, OPENED, DEADLINE) == OPENED + timedelta(minutes=15)
        assert first_due(AT_ONCE, OPENED, OPENED + timedelta(minutes=5)) == OPENED + timedelta(minutes=5)
        assert first_due(IN_DAYS, OPENED, DEADLINE) == DEADLINE

    def test_it_goes_on_until_somebody_acts(self) -> None:
        now, step, times = first_due(AT_ONCE, OPENED, DEADLINE), 0, []
        while step < 8:
            times.append((now - OPENED).total_seconds() / 60)
            now = next_due(AT_ONCE, OPENED, DEADLINE, step, now)
            step += 1
        assert times == [15, 30, 60, 120, 180, 240, 300, 360]

    def test_a_deadline_between_two_steps_is_a_step(self) -> None:
        now = DEADLINE - timedelta(minutes=10)
        assert next_due(AT_ONCE, OPENED, DEADLINE, 5, now) == DEADLINE

    def test_what_fell_due_while_nothing_ran_is_due_now_and_not_in_the_past(self) -> None:
        now = OPENED + timedelta(minutes=45)
        assert next_due(AT_ONCE, OPENED, DEADLINE, 0, now) == now
        assert steps_due(AT_ONCE, OPENED, now) == 2
        assert steps_due(AT_ONCE, OPENED, OPENED) == 0
