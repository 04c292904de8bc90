"""Promises of matching: never another tier, needs change the order and the reasons, the order is always the same."""

from hypothesis import given
from hypothesis import strategies as st
from stepwell_referral import data
from stepwell_referral.builders import place_of
from stepwell_referral.rules.matching import Match, Needs, Place, match

REMEDIES = data.barrier_remedies()
CATALOGUE = [place_of(resource) for resource in data.default_catalogue() if "category" in resource]
TIERS = ["tier-1", "tier-2", "tier-3", "tier-4"]


def place(place_id: str, *tiers: str, modalities: tuple[str, ...] = (), languages: tuple[str, ...] = ("en",)) -> Place:
    return Place(place_id, place_id, frozenset(tiers), frozenset(modalities), frozenset(languages), weekly_starts=5)


def ranked(found: Match) -> list[str]:
    return [entry.place.place_id for entry in found.places]


def find(
    services: list[Place], needs: Needs, tier: str = "tier-3", upper_days: dict[str, int | None] | None = None
) -> Match:
    return match(services, tier, needs, remedies=REMEDIES, upper_days=upper_days or {})


def rules(found: Match, index: int = 0) -> set[str]:
    return {reason.rule for reason in found.places[index].reasons}


places = st.builds(
    Place,
    place_id=st.uuids().map(str),
    name=st.just("somewhere"),
    tiers=st.frozensets(st.sampled_from(TIERS), max_size=2),
    modalities=st.frozensets(st.sampled_from(["in-person", "telehealth", "home-visit"])),
    languages=st.frozensets(st.sampled_from(["en", "de"])),
    active=st.booleans(),
)
needs_of_anybody = st.builds(
    Needs,
    languages=st.lists(st.sampled_from(["en", "de", "tr"]), unique=True).map(tuple),
    modalities=st.lists(st.sampled_from(["in-person", "telehealth"]), unique=True).map(tuple),
    barriers=st.lists(st.sampled_from(["transport", "rural", "money"]), unique=True).map(tuple),
)


def test_no_place_is_said_and_not_replaced_by_a_lower_tier() -> None:
    found = find([place("a", "tier-2"), place("b", "tier-4")], Needs(barriers=("transport",)))
    assert (found.outcome, found.rule, found.places) == ("no-place", "MATCH-NONE", ())
    assert "tier-3" in found.reason


def test_a_closed_place_is_not_offered() -> None:
    closed = Place("a", "a", frozenset({"tier-3"}), active=False)
    assert find([closed], Needs()).outcome == "no-place"


@given(st.lists(places, max_size=12), st.sampled_from(TIERS), needs_of_anybody)
def test_every_place_offered_is_active_and_gives_this_tier(services: list[Place], tier: str, needs: Needs) -> None:
    found = find(services, needs, tier)
    fitting = {service.place_id for service in services if service.active and tier in service.tiers}
    assert set(ranked(found)) == fitting
    assert all(entry.reasons for entry in found.places)


@given(st.lists(places, max_size=12), needs_of_anybody)
def test_the_order_of_the_catalogue_does_not_change_the_ranking(services: list[Place], needs: Needs) -> None:
    assert ranked(find(services, needs)) == ranked(find(services[::-1], needs))


def test_the_default_catalogue_has_a_place_for_every_tier() -> None:
    for tier in TIERS:
        assert ranked(find(CATALOGUE, Needs(), tier)) == [f"default-{tier}"]


def test_a_language_counts_before_a_shorter_wait() -> None:
    services = [place("quick", "tier-3", languages=("en",)), place("german", "tier-3", languages=("de",))]
    found = find(services, Needs(languages=("de",)), upper_days={"quick": 3, "german": 20})
    assert ranked(found) == ["german", "quick"]
    assert "MATCH-LANGUAGE" in rules(found)
    assert "MATCH-INTERPRETER" in rules(found, 1)


def test_a_transport_barrier_puts_remote_care_of_the_same_tier_first() -> None:
    services = [place("a", "tier-3", modalities=("in-person",)), place("b", "tier-3", modalities=("telehealth",))]
    found = find(services, Needs(barriers=("transport",)))
    assert ranked(found) == ["b", "a"]
    assert "MATCH-BARRIER" in rules(found)
    assert "MATCH-SUPPORT" in rules(found, 1)


def test_a_barrier_that_no_place_solves_asks_for_support() -> None:
    found = find([place("a", "tier-3", modalities=("telehealth",))], Needs(barriers=("money",)))
    assert "MATCH-SUPPORT" in rules(found)


def test_a_preferred_way_of_meeting_comes_before_a_shorter_wait() -> None:
    services = [
        place("video", "tier-3", modalities=("telehealth",)),
        place("room", "tier-3", modalities=("in-person",)),
    ]
    found = find(services, Needs(modalities=("in-person",)), upper_days={"video": 1, "room": 9})
    assert ranked(found) == ["room", "video"]
    assert "MATCH-MODALITY" in rules(found)


def test_otherwise_the_shorter_wait_comes_first_and_an_unknown_one_last() -> None:
    services = [place("a", "tier-3"), place("b", "tier-3"), place("c", "tier-3")]
    assert ranked(find(services, Needs(), upper_days={"a": None, "b": 30, "c": 3})) == ["c", "b", "a"]
