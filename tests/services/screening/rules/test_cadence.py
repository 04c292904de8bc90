"""Promises of the cadence: who is asked what and when, and that nobody is asked too often or forgotten."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.cadence import (
    DETERIORATION,
    OVERDUE,
    PAUSED,
    REMIND,
    SLOWER,
    Answered,
    History,
    Pace,
    Solicitation,
    Stability,
    Tier,
    next_solicitation,
    next_step,
    stability_of,
)
from stepwell_screening.rules.cadence_policy import parse_cadence, with_own

CADENCE = parse_cadence(data.cadence())
BEGAN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
STABLE, WORSE = Stability(is_stable=True), Stability(has_deteriorated=True)


def form(name: str) -> str:
    return f"https://stepwell.health/fhir/Questionnaire/{name}|1.0.0"


def day(number: float) -> datetime:
    """So many days after the person's baseline."""
    return BEGAN + timedelta(days=number)


def after(*elevated: str, **more: Any) -> History:
    """A baseline on the first day, on which these measures were elevated."""
    measures = {code: Answered(BEGAN, code in elevated) for code in ("phq-9", "gad-7", "phq-15", "readiness")}
    return History(since=BEGAN, answered=measures, **more)


def decided(
    history: History, tier: str = "", *, policy: str = "stepped-care", now: float = 0, **more: Any
) -> Solicitation:
    given: dict[str, Any] = {"stability": Stability(), "pause": Pace(), "review": None, **more}
    known = Tier(tier, policy if tier else "", given["review"])
    return next_solicitation(history, known, given["stability"], given["pause"], CADENCE, day(now))


class TestRefusals:
    @pytest.mark.parametrize(
        ("own", "said"),
        [
            ({"CADENCE-T1": 6}, "from 7 to 56"),
            ({"CADENCE-T1": 57}, "from 7 to 56"),
            ({"CADENCE-SAFETY": 14}, "may not be slower"),
            ({"CADENCE-T9": 14}, "not known: CADENCE-T9"),
            ({"unpromptedDays": 1}, "not known: unpromptedDays"),
            ({"answerDays": 15}, "from 2 to 14"),
            ({"pauseDaysMost": 365}, "from 7 to 182"),
        ],
    )
    def test_a_site_stays_within_the_bounds(self, own: dict[str, int], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            with_own(CADENCE, own)

    def test_a_cadence_leaves_nobody_without_an_interval(self) -> None:
        short = data.cadence()
        short["situations"].pop()
        with pytest.raises(ValueError, match="fits everybody"):
            parse_cadence(short)

    def test_a_measure_that_no_form_asks_is_refused(self) -> None:
        unasked = data.cadence()
        unasked["measures"].append({"code": "sleep"})
        with pytest.raises(ValueError, match="no form asks"):
            parse_cadence(unasked)

    def test_every_number_names_its_source_and_every_default_is_marked(self) -> None:
        shipped = data.cadence()
        rows = [*shipped["situations"], *shipped["limits"].values(), *shipped["bounds"].values()]
        assert all(row["productDefault"] is True and row["source"] for row in rows)
        assert all(row["source"] for row in shipped["measures"])


class TestWhen:
    @pytest.mark.parametrize(
        ("tier", "more", "days", "rule"),
        [
            ("tier-1", {}, 14, "CADENCE-T1"),
            ("tier-2", {}, 14, "CADENCE-T2"),
            ("tier-3", {}, 14, "CADENCE-T3"),
            ("tier-4", {}, 28, "CADENCE-T4"),
            ("", {}, 28, "CADENCE-NO-TIER"),
            ("tier-2", {"policy": "rural"}, 7, "CADENCE-RURAL-T2"),
            ("tier-1", {"policy": "rural"}, 14, "CADENCE-T1"),
            ("tier-1", {"stability": STABLE}, 28, "CADENCE-T1"),
            ("tier-2", {"policy": "rural", "stability": STABLE}, 14, "CADENCE-RURAL-T2"),
            ("tier-4", {"stability": STABLE}, 28, "CADENCE-T4"),
            ("tier-4", {"stability": WORSE}, 7, "CADENCE-DETERIORATION"),
            ("tier-1", {"pause": Pace(SLOWER)}, 28, "CADENCE-T1"),
            ("tier-4", {"pause": Pace(SLOWER)}, 56, "CADENCE-T4"),
            ("tier-1", {"pause": Pace(SLOWER), "stability": STABLE}, 56, "CADENCE-T1"),
            ("tier-1", {"pause": Pace(SLOWER, day(-1))}, 14, "CADENCE-T1"),
            ("tier-1", {"pause": Pace(PAUSED, day(-1))}, 14, "CADENCE-T1"),
            ("tier-4", {"review": day(21)}, 14, "CADENCE-REVIEW"),
            ("tier-1", {"review": day(60)}, 14, "CADENCE-T1"),
            ("tier-4", {"review": day(21), "pause": Pace(SLOWER)}, 56, "CADENCE-T4"),
            ("tier-4", {"review": day(-1)}, 28, "CADENCE-T4"),
        ],
    )
    def test_each_tier_and_situation_has_its_interval(
        self, tier: str, more: dict[str, Any], days: int, rule: str
    ) -> None:
        found = decided(after("phq-9"), tier, **more)
        assert (found.at, found.rule, found.questionnaire) == (day(days), rule, form("phq-9"))

    @pytest.mark.parametrize("pace", [Pace(PAUSED, day(60)), Pace(SLOWER)])
    def test_no_wish_slows_what_safety_asks_for(self, pace: Pace) -> None:
        found = decided(after("phq-9", is_safety_open=True), "tier-4", pause=pace, stability=STABLE)
        assert (found.at, found.rule) == (day(7), "CADENCE-SAFETY")

    def test_a_pause_asks_nothing_until_it_is_over(self) -> None:
        found = decided(after("phq-9"), "tier-1", pause=Pace(PAUSED, day(60)), now=50)
        assert (found.questionnaire, found.at, found.rule) == ("", day(60), "CADENCE-PAUSE")
        assert not found.is_due(day(61))

    def test_nothing_is_asked_once_care_has_ended_but_for_safety(self) -> None:
        ended = Tier(is_ended=True)
        for is_open, rule in ((False, "CADENCE-ENDED"), (True, "CADENCE-SAFETY")):
            history = after("phq-9", is_safety_open=is_open)
            assert next_solicitation(history, ended, Stability(), Pace(), CADENCE, day(30)).rule == rule

    def test_at_most_one_form_a_week_goes_out_unprompted(self) -> None:
        history = after("phq-9", "gad-7", last_unprompted=day(12), asked={form("readiness-rulers"): day(12)})
        assert decided(history, "tier-1", now=15).at == day(19)

    def test_over_a_year_no_two_unprompted_forms_come_within_a_week(self) -> None:
        history, sent = after("phq-9", "gad-7", "phq-15"), list[datetime]()
        for hour in range(0, 365 * 24, 6):
            found = decided(history, "tier-1", stability=WORSE, now=hour / 24)
            if found.is_due(day(hour / 24)):
                sent.append(day(hour / 24))
                asked = {**history.asked, found.questionnaire: sent[-1]}
                history = replace(history, asked=asked, last_unprompted=sent[-1])
        assert len(sent) > 40
        assert min(b - a for a, b in pairwise(sent)) >= timedelta(days=7)

    def test_who_is_met_is_asked_at_once_whatever_the_pace(self) -> None:
        history = after("gad-7", prompted=day(2), last_unprompted=day(1))
        found = decided(history, "tier-3", pause=Pace(PAUSED, day(60)), now=2)
        assert found.is_due(day(2))
        assert (found.questionnaire, found.rule, found.is_prompted) == (form("gad-7"), "CADENCE-OCCASION", True)

    def test_an_unanswered_form_is_not_asked_again_before_its_time(self) -> None:
        history = after("phq-9", asked={form("phq-9"): day(14)}, last_unprompted=day(14))
        assert decided(history, "tier-1", now=15).at == day(28)


class TestWhat:
    @pytest.mark.parametrize(
        ("elevated", "asked"),
        [
            (("phq-9",), "phq-9"),
            (("gad-7",), "gad-7"),
            (("phq-15",), "phq-15"),
            ((), "phq-9"),
            (("phq-9", "gad-7"), "phq-sads"),
            (("phq-9", "gad-7", "phq-15"), "phq-sads"),
        ],
    )
    def test_one_form_asks_all_that_was_elevated(self, elevated: tuple[str, ...], asked: str) -> None:
        assert decided(after(*elevated), "tier-1").questionnaire == form(asked)

    def test_while_safety_is_open_the_form_with_the_safety_item_is_asked_too(self) -> None:
        assert decided(after("gad-7", is_safety_open=True), "tier-1").questionnaire == form("phq-sads")

    def test_readiness_is_asked_again_once_it_is_stale(self) -> None:
        history = after("phq-9", asked={form("phq-9"): day(27)}, last_unprompted=day(21))
        found = decided(history, "tier-1", now=28)
        assert (found.questionnaire, found.at) == (form("readiness-rulers"), day(28))

    def test_who_never_answered_is_asked_after_an_interval(self) -> None:
        found = decided(History(since=BEGAN), "tier-2")
        assert (found.questionnaire, found.at) == (form("phq-9"), day(14))


class TestReviewsWithoutMeasures:
    """A review that falls due with no data asks for data."""

    def wanted(self, number: float, *names: str, **more: Any) -> History:
        return after("phq-9", wanted=day(number), wanted_measures=frozenset(names), **more)

    def test_a_pause_holds_for_a_review_too(self) -> None:
        assert decided(self.wanted(10), "tier-3", now=10, pause=Pace(PAUSED, day(60))).questionnaire == ""

    def test_what_was_asked_for_lately_is_not_asked_for_again(self) -> None:
        history = self.wanted(10, asked={form("phq-9"): day(5)}, last_unprompted=day(5))
        assert not decided(history, "tier-4", now=12).is_due(day(12))

    def test_at_most_one_unprompted_form_a_week_goes_out(self) -> None:
        history = self.wanted(10, asked={form("readiness-rulers"): day(9)}, last_unprompted=day(9))
        assert decided(history, "tier-4", now=10).at == day(16)

    def test_the_scores_are_asked_for_at_once_and_once(self) -> None:
        found = decided(self.wanted(10), "tier-4", now=10)
        assert (found.questionnaire, found.at, found.rule) == (form("phq-9"), day(10), "CADENCE-REVIEW")
        asked = self.wanted(10, asked={form("phq-9"): day(10)}, last_unprompted=day(10))
        assert not decided(asked, "tier-4", now=20).is_due(day(20))

    def test_what_else_is_lacking_follows_once_the_scores_are_there(self) -> None:
        assert decided(self.wanted(10, "goals"), "tier-4", now=10).questionnaire == form("phq-9")
        history = self.wanted(10, "goals", last_unprompted=day(10))
        scored = replace(history, answered={**history.answered, "phq-9": Answered(day(12), True)})
        found = decided(scored, "tier-4", now=20)
        assert (found.questionnaire, found.is_due(day(20))) == (form("goals"), True)

    def test_an_answer_settles_it(self) -> None:
        history = after("phq-9", wanted=day(10))
        answered = replace(history, answered={**history.answered, "phq-9": Answered(day(11), True)})
        assert not decided(answered, "tier-4", now=20).is_due(day(20))

    def test_after_the_end_a_booster_asks_once_and_waits_no_longer_than_the_longest_interval(self) -> None:
        ended = Tier(is_ended=True)
        for number, asked, expected in (
            (100, {}, (form("phq-9"), "CADENCE-REVIEW")),
            (101, {form("phq-9"): day(100)}, ("", "CADENCE-REVIEW")),
            (156, {form("phq-9"): day(100)}, ("", "CADENCE-ENDED")),
        ):
            history = self.wanted(100, asked=asked)
            found = next_solicitation(history, ended, Stability(), Pace(), CADENCE, day(number))
            assert (found.questionnaire, found.rule) == expected

    def test_after_the_end_an_answered_booster_leaves_people_in_peace(self) -> None:
        history = after(wanted=day(100))
        answered = replace(history, answered={**history.answered, "phq-9": Answered(day(101), False)})
        ended = Tier(is_ended=True)
        assert next_solicitation(answered, ended, Stability(), Pace(), CADENCE, day(102)).rule == "CADENCE-ENDED"


class TestStability:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, Stability()),
            ({"phq-9": ("no-reliable-change", day(-42))}, Stability(is_stable=True)),
            ({"phq-9": ("no-reliable-change", day(-41))}, Stability()),
            (
                {"phq-9": ("improvement", day(-50)), "gad-7": ("no-reliable-change", day(-50))},
                Stability(is_stable=True),
            ),
            ({"phq-9": ("improvement", day(-50)), "gad-7": ("no-reliable-change", day(-2))}, Stability()),
            ({"phq-9": ("not-available", day(-50))}, Stability()),
            (
                {"phq-9": ("improvement", day(-50)), "gad-7": (DETERIORATION, day(-50))},
                Stability(has_deteriorated=True),
            ),
        ],
    )
    def test_only_who_is_known_to_stand_still_for_long_is_stable(
        self, changes: dict[str, tuple[str, datetime]], expected: Stability
    ) -> None:
        assert stability_of(changes, CADENCE, BEGAN) == expected


class TestSteps:
    def test_one_reminder_and_then_it_is_overdue(self) -> None:
        first = next_step(day(0), day(7), is_reminded=False, cadence=CADENCE)
        second = next_step(day(0), day(7), is_reminded=True, cadence=CADENCE)
        assert (first.what, first.at, second.what, second.at) == (REMIND, day(3), OVERDUE, day(7))

    def test_a_reminder_that_would_come_too_late_is_left_out(self) -> None:
        late = with_own(CADENCE, {"remindAfterDays": 8})
        assert next_step(day(0), day(7), is_reminded=False, cadence=late).what == OVERDUE


class TestOwnNumbers:
    def test_a_site_slows_a_tier_and_its_stable_interval_follows(self) -> None:
        own = with_own(CADENCE, {"CADENCE-T1": 21, "answerDays": 10})
        first = next(each for each in own.situations if each.code == "CADENCE-T1")
        assert (first.every_days, first.stable_every_days, own.limit("answerDays")) == (21, 42, 10)
        assert own.limit("unpromptedDays") == 7
