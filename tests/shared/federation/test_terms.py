"""Promises of terms: what is not agreed is refused in words, and what was kept before there were terms still holds."""

import pytest
from stepwell_shared.federation.terms import ADVICE, ANY_REFERRAL, REFERRAL, Terms, terms_from

NARROW = Terms(frozenset({REFERRAL}), frozenset({"tier-3"}), frozenset({"early-help"}))


@pytest.mark.parametrize(
    ("kind", "tier", "programmes", "words"),
    [
        (ADVICE, None, None, "takes no advice"),
        (REFERRAL, "tier-2", None, "takes no tier-2"),
        (REFERRAL, "tier-3", [], "these programmes only: early-help"),
        (REFERRAL, "tier-3", ["pain"], "these programmes only: early-help"),
    ],
)
def test_what_is_not_agreed_is_refused_in_words(
    kind: str, tier: str | None, programmes: list[str] | None, words: str
) -> None:
    assert words in NARROW.refusal(kind, tier, programmes)


def test_what_is_agreed_is_taken() -> None:
    assert NARROW.refusal(REFERRAL, "tier-3", ["early-help", "pain"]) == ""
    assert ANY_REFERRAL.refusal(REFERRAL, "tier-1", []) == ""
    assert Terms(frozenset({ADVICE})).refusal(ADVICE) == ""


def test_terms_come_back_as_they_were_kept_and_none_are_every_referral() -> None:
    assert terms_from(NARROW.text()) == NARROW
    assert terms_from("") == ANY_REFERRAL
