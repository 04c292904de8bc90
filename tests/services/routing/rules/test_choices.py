"""Promises of the menu: never below a safety floor, never what a rule took off, no phase of a progress ladder."""

import pytest
from stepwell_routing.policies import active_policies
from stepwell_routing.rules.choices import menu_of

STEPPED = active_policies()["stepped-care"]


def test_what_the_policy_does_not_have_is_no_menu() -> None:
    with pytest.raises(ValueError, match="no such step"):
        menu_of(STEPPED, (), "tier-9", ())


@pytest.mark.parametrize(("rule", "lowest"), [("SAF-2", []), ("SAF-3", ["tier-3"]), ("SAF-4", None)])
def test_less_than_safety_asks_for_is_no_choice(rule: str, lowest: list[str] | None) -> None:
    menu = menu_of(STEPPED, {rule}, "tier-4", ())
    assert list(menu.lower) == (["tier-1", "tier-2", "tier-3"] if lowest is None else lowest)


def test_what_a_rule_took_off_the_menu_is_offered_nowhere() -> None:
    rule = next(each for each in STEPPED.rules if each.excluded_options)
    menu = menu_of(STEPPED, {rule.code}, "tier-2", ())
    offered = {option.code for options in (menu.options, *menu.lower.values()) for option in options}
    assert offered
    assert offered.isdisjoint(rule.excluded_options)


def test_a_request_that_names_its_options_offers_those() -> None:
    assert [each.code for each in menu_of(STEPPED, (), "tier-2", ["group", "unknown"]).options] == ["group"]


@pytest.mark.parametrize("pathway", sorted(active_policies()))
def test_every_step_of_every_ladder_has_a_menu(pathway: str) -> None:
    policy = active_policies()[pathway]
    for step in policy.steps:
        menu = menu_of(policy, (), step.code, ())
        assert menu.options
        assert len(menu.lower) == (step.rank - 1 if policy.kind == "intensity" else 0)
