"""What of a changed wait is news for a person, and that a change during the reckoning is not lost."""

from dataclasses import replace
from datetime import timedelta

import pytest
from stepwell_referral import data
from stepwell_referral.booking_tables import claim_paces, pace_effect
from stepwell_referral.builders.promises import Told
from stepwell_referral.rules.forecast import Pace
from stepwell_referral.rules.waits import WaitPromise, promise
from stepwell_referral.use_cases.paces import pace_from, pace_text
from stepwell_referral.use_cases.renewing import is_news
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH, START


def wait_of(upper_days: int, *, keepable: bool = True) -> WaitPromise:
    found = promise({}, 7, "routine", START, data.urgency_classes())
    outcome = "keepable" if keepable else "over-limit"
    return replace(found, outcome=outcome, upper_days=upper_days, promised_by=START + timedelta(days=upper_days))


@pytest.mark.parametrize(
    ("told_days", "told_keepable", "wait", "news"),
    [
        (27, True, wait_of(29, keepable=False), True),
        (29, False, wait_of(27), False),
        (29, False, wait_of(20), True),
        (10, True, wait_of(13), False),
        (10, True, wait_of(14), True),
        (27, True, wait_of(23), False),
        (27, True, wait_of(22), True),
        (None, False, wait_of(20), True),
    ],
)
def test_a_person_hears_of_a_wait_that_moves_and_not_of_every_day(
    told_days: int | None, told_keepable: bool, wait: WaitPromise, news: bool
) -> None:
    bound = None if told_days is None else START + timedelta(days=told_days)
    assert is_news(Told(bound, told_keepable), wait) is news


def test_figures_are_read_as_they_were_kept() -> None:
    pace = Pace(((START, 2),), START, 5.0, 0.8, {"urgent": 1.5}, 0.01, {"routine": 2}, {"routine": 0.93}, 4.5, 30, 12)
    assert pace_from(pace_text(pace, START)) == pace


async def test_a_change_while_figures_are_reckoned_stays_due(runtime: Runtime) -> None:
    figures = pace_text(Pace((), START, 5.0), START)
    tomorrow = START + timedelta(days=1)
    for changed_at, due in ((START - timedelta(seconds=1), []), (START + timedelta(seconds=1), [(NORTH, "s")])):
        for effect in (pace_effect("s", None, changed_at), pace_effect("s", figures, tomorrow)):
            await runtime.store.commit(UnitOfWork(NORTH, effects=[effect]))
        assert await claim_paces(runtime.database, [NORTH], START + timedelta(hours=1)) == due
