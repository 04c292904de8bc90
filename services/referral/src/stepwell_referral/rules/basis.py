"""On what a wait rests: what was counted at a service, what its calendar shows, or what it says of itself. Pure.

A figure that nothing was counted for is said to be one, so that nobody takes it for what happened to others.
"""

from stepwell_referral.rules.forecast import Pace, PaceParameters

SHARED, HISTORY, CALENDAR = "BASIS-SHARED", "BASIS-HISTORY", "BASIS-CALENDAR"
STATED, NOTHING = "BASIS-STATED", "BASIS-NOTHING"


def basis_of(pace: Pace, parameters: PaceParameters) -> str:
    """The code (CodeSystem queue) of what this pace rests on. Without anything no date can be given."""
    if pace.shared is not None:
        return SHARED
    if pace.calendar:
        has_come = any(pace.arrivals_weekly.values())
        has_been_seen = pace.attended_of > parameters.no_show_prior_weight
        return HISTORY if has_come and has_been_seen else CALENDAR
    return STATED if pace.weekly_starts > 0 else NOTHING
