"""When figures go to the region: what ships (region.toml), and what a site says instead."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_measurement.rules.region import MONTH, QUARTER, Schedule

DAYS_MAX = 366


@cache
def default_schedule() -> Schedule:
    """The schedule of a site that says nothing."""
    return Schedule(**tomllib.loads((files(__package__) / "region.toml").read_text(encoding="utf-8")))


def schedule_from(said: Any) -> Schedule:
    """What a site says, in place of what ships. Raises ValueError for what is no schedule."""
    names = {"every": "every", "waitDays": "wait_days", "lateDays": "late_days"}
    ships = default_schedule()
    site: Mapping[Any, Any] = said if isinstance(said, Mapping) else {"regionFigures": said}
    given = {names.get(name, name): value for name, value in site.items()}
    known: dict[str, Any] = asdict(ships)
    days = [given.get(name, 0) for name in ("wait_days", "late_days")]
    is_known = given.keys() <= known.keys() and given.get("every", MONTH) in {MONTH, QUARTER}
    if not is_known or any(type(each) is not int or not 0 <= each <= DAYS_MAX for each in days):
        raise ValueError("regionFigures has every (month or quarter), waitDays and lateDays (0 to 366)")
    return Schedule(**{**known, **given})
