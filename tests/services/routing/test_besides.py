"""Promises of what runs beside a step: an activity rests while the step goes on, advice and tracks open once."""

import pytest
from stepwell_routing.policies import active_policies
from stepwell_routing.use_cases.outcomes import step_pause

from tests.services.routing.rules.shipped import decided

PAIN = active_policies()["chronic-pain-rehabilitation"]


@pytest.mark.parametrize(
    ("said", "rests"),
    [
        ({"contraindication": "pause"}, False),
        ({"red_flag": True}, False),
        ({"wishes_pause": True}, True),
    ],
)
def test_the_step_rests_only_when_a_rule_says_so_of_the_whole_step(said: dict[str, object], rests: bool) -> None:
    found = decided(policy=PAIN, step=2, step_code="pain-p2a", assessment_done=True, **said)
    assert found.outcome == "pause"
    assert (step_pause(found) is not None) == rests
