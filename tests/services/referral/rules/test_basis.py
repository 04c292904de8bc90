"""Promises of what a wait rests on: what nobody has counted is never taken for what happened."""

from datetime import UTC, datetime

import pytest
from stepwell_referral import data
from stepwell_referral.rules.basis import basis_of
from stepwell_referral.rules.forecast import Pace, SharedWaits

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
PRIOR = data.pace_parameters().no_show_prior_weight
FREE = ((NOW, 2),)


@pytest.mark.parametrize(
    ("pace", "basis"),
    [
        (Pace((), NOW, 0.0), "BASIS-NOTHING"),
        (Pace((), NOW, 4.0), "BASIS-STATED"),
        (Pace((), NOW, 4.0, attended_of=PRIOR + 9, arrivals_weekly={"routine": 2.0}), "BASIS-STATED"),
        (Pace(FREE, NOW, 4.0, attended_of=PRIOR), "BASIS-CALENDAR"),
        (Pace(FREE, NOW, 4.0, attended_of=PRIOR + 9), "BASIS-CALENDAR"),
        (Pace(FREE, NOW, 4.0, attended_of=PRIOR, arrivals_weekly={"routine": 2.0}), "BASIS-CALENDAR"),
        (Pace(FREE, NOW, 4.0, attended_of=PRIOR + 9, arrivals_weekly={"routine": 2.0}), "BASIS-HISTORY"),
        (Pace(FREE, NOW, 4.0, shared=SharedWaits(NOW, NOW, {})), "BASIS-SHARED"),
    ],
)
def test_a_wait_says_on_what_it_rests(pace: Pace, basis: str) -> None:
    assert basis_of(pace, data.pace_parameters()) == basis
    assert all(basis in words["basis"] for words in data.wait_templates().values())
