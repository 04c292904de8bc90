"""Promises of matching: never another tier, needs change order, support and reasons, the order is always the same."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_referral import data
from stepwell_referral.builders import place_of
from stepwell_referral.data.directory import parameters
from stepwell_referral.rules.matching import (
    Area,
    Catalogue,
    Eligibility,
    Match,
    Need,
    Place,
    Profile,
    kilometres,
    match,
    unit_vector,
    with_waits,
)
from stepwell_referral.rules.matching.fitting import fit
from stepwell_referral.rules.matching.hours import hours_between
from stepwell_referral.rules.matching.scoring import Scorer, barrier_points, wish_points

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PARAMETERS = parameters()
CATALOGUE = [place_of(resource) for resource in data.default_catalogue() if "category" in resource]
TIERS = ["tier-1", "tier-2", "tier-3", "tier-4"]
BARRIERS = sorted(PARAMETERS.remedies)
HERE, FAR_AWAY = unit_vector(52.52, 13.405), unit_vector(48.137, 11.575)  # Berlin, Munich


def place(place_id: str, tier: str = "tier-3", *, way: tuple[str, ...] = (), **more: Any) -> Place:
    names = ("languages", "supports", "accessibility", "features")
    sets = {name: frozenset(more.pop(name, ())) for name in names}
    profile = Profile(frozenset(way), **sets, price=more.pop("price", ""), hours=more.pop("hours", 0))
    return Place(place_id, place_id, frozenset({tier}), weekly_starts=5, profile=profile, **more)


def find(services: list[Place], need: Need, upper_days: Mapping[str, int | None] | None = None) -> Match:
    found = match(need if need.tier else replace(need, tier="tier-3"), services, NOW, PARAMETERS)
    days = {each.place_id: 10 for each in services} if upper_days is None else upper_days
    return with_waits(found, days, PARAMETERS)


def ranked(found: Match) -> list[str]:
    return [option.place.place_id for option in found.options]


def rules(found: Match, index: int = 0) -> set[str]:
    return {reason.rule for reason in found.options[index].reasons}


def out(found: Match) -> dict[str, str]:
    return {each.place.place_id: each.rule for each in found.left_out}


def some(*codes: str) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(codes))


profiles = st.builds(
    Profile,
    modalities=some(*PARAMETERS.modality_order),
    languages=some("en", "de"),
    supports=some("transport", "childcare", "interpreter", "private-room"),
    accessibility=some("step-free-access", "large-print"),
    features=some("peer-support", "drop-in"),
    price=st.sampled_from(["", "free", "at-cost"]),
    hours=st.sampled_from([0, PARAMETERS.work_hours, PARAMETERS.times["evening"]]),
)
places = st.builds(
    Place,
    place_id=st.uuids().map(str),
    name=st.just("somewhere"),
    tiers=some(*TIERS),
    active=st.booleans(),
    profile=profiles,
    positions=st.sampled_from([(), (HERE,), (FAR_AWAY,)]),
)
needs_of_anybody = st.builds(
    Need,
    tier=st.just("tier-3"),
    languages=st.lists(st.sampled_from(["en", "de", "tr"]), unique=True).map(tuple),
    modalities=st.lists(st.sampled_from(PARAMETERS.modality_order), unique=True).map(tuple),
    barriers=st.dictionaries(st.sampled_from(BARRIERS), st.sampled_from(["sometimes", "often"])),
    accessibility=st.lists(st.sampled_from(["step-free-access", "large-print"]), unique=True).map(tuple),
    hours=st.sampled_from([0, PARAMETERS.times["evening"]]),
    interpreter=st.booleans(),
    position=st.sampled_from([None, HERE]),
)


def test_no_place_is_said_and_not_replaced_by_a_lower_tier() -> None:
    found = find([place("a", "tier-2"), place("b", "tier-4")], Need(barriers=dict.fromkeys(BARRIERS, "often")))
    assert (found.outcome, found.rule, found.options) == ("no-place", "MATCH-NONE", ())
    assert "tier-3" in found.reason


@given(st.lists(places, max_size=12), needs_of_anybody, st.sampled_from(TIERS))
def test_whatever_gets_in_the_way_what_is_offered_is_the_same_tier(
    services: list[Place], need: Need, tier: str
) -> None:
    hindered = find(services, replace(need, tier=tier))
    free = find(services, Need(tier=tier))
    giving = {each.place_id for each in services if each.active and tier in each.tiers}
    assert all(tier in option.place.tiers for option in hindered.options)
    assert {*ranked(hindered), *(id_ for id_, rule in out(hindered).items() if rule == "MATCH-OUT-FAR")} == giving
    assert set(ranked(free)) == giving
    assert bool(hindered.options) == bool(giving)


@given(st.lists(places, max_size=12), needs_of_anybody)
def test_the_order_of_the_catalogue_does_not_change_the_ranking(services: list[Place], need: Need) -> None:
    assert ranked(find(services, need)) == ranked(find(services[::-1], need))


@given(needs_of_anybody, profiles)
def test_points_that_order_places_are_those_of_the_reasons_that_are_told(need: Need, profile: Profile) -> None:
    base, ways = Scorer(need, PARAMETERS).points(profile)
    told = fit(need, profile, ways.modality, PARAMETERS)
    asked = [need.barriers[barrier] for barrier, _ in told.arranged if barrier in need.barriers]
    expected = wish_points(need, ways.modality, PARAMETERS) + sum(barrier_points(each, PARAMETERS) for each in asked)
    assert ways.points == expected
    assert (base >= PARAMETERS.points["accessibility"] * len(told.unmet_accessibility)) is True


@given(needs_of_anybody, profiles)
def test_every_barrier_is_answered_by_the_place_or_by_support_that_somebody_arranges(
    need: Need, profile: Profile
) -> None:
    (option,) = find([Place("a", "a", frozenset({"tier-3"}), profile=profile)], need).options
    solved = {about["barrier"] for each in option.reasons if "barrier" in (about := dict(each.about))}
    assert set(need.barriers) <= solved
    assert all(support for _, support in option.supports)


@pytest.mark.parametrize(
    ("left_out", "need", "rule"),
    [
        (place("x", active=False), Need(), "MATCH-OUT-CLOSED"),
        (place("x"), Need(declined=frozenset({"x"})), "MATCH-OUT-DECLINED"),
        (place("x", eligibility=(Eligibility(age_low=18),)), Need(age=17), "MATCH-OUT-AGE"),
        (place("x", eligibility=(Eligibility(age_high=65),)), Need(age=66), "MATCH-OUT-AGE"),
        (place("x", eligibility=(Eligibility(age_high=0),)), Need(age=1), "MATCH-OUT-AGE"),
        (place("x", eligibility=(Eligibility(sexes=frozenset({"female"})),)), Need(sex="male"), "MATCH-OUT-SEX"),
        (
            place("x", eligibility=(Eligibility(conditions=frozenset({"pain"})),)),
            Need(conditions=frozenset({"sleep"})),
            "MATCH-OUT-CONDITION",
        ),
        (place("x", areas=(Area((("postalCode", "10"),)),)), Need(address={"postalCode": "80331"}), "MATCH-OUT-AREA"),
        (place("x"), Need(programme="pain-school"), "MATCH-OUT-PROGRAMME"),
        (place("x"), Need(specialty="sleep"), "MATCH-OUT-SPECIALTY"),
        (place("x", competences_required=frozenset({"cbt"})), Need(), "MATCH-OUT-COMPETENCE"),
        (place("x", way=("in-person",), positions=(FAR_AWAY,)), Need(position=HERE), "MATCH-OUT-FAR"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_place_that_is_left_out_says_why(left_out: Place, need: Need, rule: str) -> None:
    wanted: dict[str, Any] = {"programmes": frozenset({"pain-school"}), "specialties": frozenset({"sleep"})}
    other = place("y", way=("in-person",), positions=(HERE,), **wanted)
    found = find([left_out, other], need)
    assert (ranked(found), out(found)) == (["y"], {"x": rule})


@pytest.mark.parametrize(("age", "fits"), [(17, False), (18, True), (65, True), (66, False)])
def test_the_ages_that_a_place_names_belong_to_it(age: int, fits: bool) -> None:
    found = find([place("x", eligibility=(Eligibility(18, 65),))], Need(age=age))
    assert bool(found.options) is fits


@pytest.mark.parametrize("sex", [None, "unknown", "other"])
def test_what_is_not_known_of_a_person_is_asked_and_rules_out_nothing(sex: str | None) -> None:
    asks = Eligibility(18, 65, frozenset({"female"}), frozenset({"pain"}))
    found = find([place("x", eligibility=(asks,), areas=(Area((("city", "berlin"),)),))], Need(sex=sex))
    asked = {dict(each.about)["what"] for each in found.options[0].reasons if each.rule == "MATCH-CHECK"}
    assert asked == {"age", "sex", "condition", "area"}


@pytest.mark.parametrize(("day", "offered"), [(-1.0, True), (-0.001, True), (0.0, False), (1.0, False)])
def test_a_place_is_not_offered_from_the_moment_on_that_its_competence_has_lapsed(day: float, offered: bool) -> None:
    lapses = NOW.timestamp() - day * 86_400
    able = place("x", competences_required=frozenset({"cbt"}), competences={"cbt": ((0.0, lapses),)})
    assert bool(find([able], Need()).options) is offered


def test_a_place_beyond_reach_is_offered_with_help_for_the_way_when_nothing_is_nearer() -> None:
    found = find([place("x", way=("in-person",), positions=(FAR_AWAY,))], Need(position=HERE))
    assert ranked(found) == ["x"]
    assert "MATCH-FAR" in rules(found)
    assert ("transport", "transport") in found.options[0].supports


def test_a_far_place_that_meets_by_video_is_met_by_video() -> None:
    far = place("x", way=("in-person", "telehealth"), positions=(FAR_AWAY,))
    (option,) = find([far], Need(position=HERE, modalities=("in-person",))).options
    assert (option.modality, option.minutes) == ("telehealth", None)


@pytest.mark.parametrize(("limit", "ids"), [(20, ["near"]), (200, ["near", "out-of-town"])])
def test_the_persons_own_limit_decides_how_far_is_too_far(limit: int, ids: list[str]) -> None:
    town = unit_vector(52.40, 13.07)  # Potsdam
    services = [place("near", way=("in-person",), positions=(HERE,)),
                place("out-of-town", way=("in-person",), positions=(town,))]  # fmt: skip
    assert ranked(find(services, Need(position=HERE, travel_minutes_max=limit))) == ids


def test_distances_are_those_of_the_great_circle() -> None:
    assert kilometres(HERE, FAR_AWAY) == pytest.approx(504.2, abs=1)
    assert kilometres(unit_vector(0, 179.9), unit_vector(0, -179.9)) == pytest.approx(22.24, abs=0.01)
    assert kilometres(HERE, HERE) == 0
    with pytest.raises(ValueError, match="latitude"):
        unit_vector(91, 0)


def test_the_default_catalogue_has_a_place_for_every_tier() -> None:
    for tier in TIERS:
        assert ranked(find(CATALOGUE, Need(tier=tier))) == [f"default-{tier}"]


def test_a_language_counts_before_a_shorter_wait() -> None:
    services = [place("quick", languages=("en",)), place("german", languages=("de",))]
    found = find(services, Need(languages=("de",)), {"quick": 3, "german": 20})
    assert ranked(found) == ["german", "quick"]
    assert "MATCH-LANGUAGE" in rules(found)
    assert "MATCH-INTERPRETER" in rules(found, 1)


def test_a_place_with_interpreters_comes_before_one_without() -> None:
    services = [place("a", languages=("en",)), place("b", languages=("en",), supports=("interpreter",))]
    assert ranked(find(services, Need(languages=("tr",)))) == ["b", "a"]


@pytest.mark.parametrize(
    ("barrier", "better", "worse"),
    [
        ("transport", {"way": ("telehealth",)}, {"way": ("in-person",)}),
        ("transport", {"way": ("home-visit",)}, {"way": ("in-person",)}),
        ("caregiving", {"supports": ("childcare",)}, {}),
        ("work", {"hours": PARAMETERS.times["evening"]}, {"hours": PARAMETERS.work_hours}),
        ("work", {"supports": ("flexible-hours",)}, {"hours": PARAMETERS.work_hours}),
        ("housing", {"supports": ("social-advice",)}, {}),
        ("income", {"price": "free"}, {"price": "at-cost"}),
        ("income", {"price": "at-cost", "supports": ("financial-help",)}, {"price": "at-cost"}),
        ("support", {"supports": ("peer-support",)}, {}),
        ("private-space", {"way": ("in-person",)}, {"way": ("telehealth",)}),
        ("private-space", {"way": ("telehealth",), "supports": ("private-room",)}, {"way": ("telehealth",)}),
        ("digital-access", {"way": ("in-person",)}, {"way": ("telehealth",)}),
        ("digital-access", {"way": ("telehealth",), "supports": ("digital-help",)}, {"way": ("telehealth",)}),
        ("language", {"supports": ("interpreter",)}, {}),
    ],
)
def test_a_barrier_puts_what_answers_it_first_and_names_support_for_the_other(
    barrier: str, better: dict[str, Any], worse: dict[str, Any]
) -> None:
    services = [place("a-worse", **worse), place("b-better", **better)]
    found = find(services, Need(barriers={barrier: "often"}))
    assert ranked(found) == ["b-better", "a-worse"]
    assert "MATCH-BARRIER" in rules(found)
    assert (found.options[0].supports, found.options[1].supports[0][0]) == ((), barrier)


def test_accessibility_that_a_person_needs_is_offered_first_and_cleared_up_elsewhere() -> None:
    services = [place("a"), place("b", accessibility=("step-free-access",))]
    found = find(services, Need(accessibility=("step-free-access",), barriers={"disability": "often"}))
    assert ranked(found) == ["b", "a"]
    assert "MATCH-ACCESS" in rules(found)
    assert "MATCH-ACCESS-OPEN" in rules(found, 1)


def test_a_preferred_way_of_meeting_comes_before_a_shorter_wait() -> None:
    services = [place("video", way=("telehealth",)), place("room", way=("in-person",))]
    found = find(services, Need(modalities=("in-person",)), {"video": 1, "room": 9})
    assert ranked(found) == ["room", "video"]
    assert "MATCH-MODALITY" in rules(found)


def test_a_place_that_offers_what_is_looked_for_comes_first() -> None:
    services = [place("a"), place("b", features=("peer-support",)), place("c", hours=PARAMETERS.work_hours)]
    assert ranked(find(services, Need(features=("peer-support",))))[0] == "b"
    assert ranked(find(services, Need(hours=PARAMETERS.times["weekend"])))[-1] == "c"


def test_a_place_that_is_closed_for_some_time_comes_later_and_says_so() -> None:
    closed = place("a", closed=((NOW.timestamp() - 1, NOW.timestamp() + 86_400),))
    found = find([closed, place("b")], Need())
    assert ranked(found) == ["b", "a"]
    assert "MATCH-CLOSED-NOW" in rules(found, 1)


def test_otherwise_the_shorter_wait_comes_first_and_an_unknown_one_last() -> None:
    services = [place("a"), place("b"), place("c")]
    assert ranked(find(services, Need(), {"a": None, "b": 200, "c": 3})) == ["c", "b", "a"]


def test_resources_of_the_community_are_found_by_what_they_help_with_and_never_as_care() -> None:
    food = replace(place("food"), tiers=frozenset(), kind="community", helps_with=frozenset({"income"}))
    rides = replace(food, place_id="rides", helps_with=frozenset({"transport"}))
    found = match(Need(helps_with=frozenset({"transport"})), [food, rides, place("care")], NOW, PARAMETERS)
    assert (ranked(found), out(found), found.rule) == (["rides"], {"food": "MATCH-OUT-NEED"}, "MATCH-COMMUNITY")
    assert Catalogue.of([replace(food, tiers=frozenset({"tier-3"}))]).by_tier == {}


def test_hours_go_over_midnight_and_round_to_those_that_are_touched() -> None:
    assert hours_between(["sun"], 22, 2) == 1 << 166 | 1 << 167 | 1 << 0 | 1 << 1
    assert hours_between(["mon"], 8.5, 9.25) == 1 << 8 | 1 << 9
    assert hours_between([], 0, 24) == 2**168 - 1
