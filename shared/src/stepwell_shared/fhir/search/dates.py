"""Dates in a search: the range table of https://hl7.org/fhir/R4/search.html section 3.1.1.4.5."""

import re
from datetime import datetime

from stepwell_shared.fhir import values
from stepwell_shared.fhir.search.terms import Values, refused

_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)


def date_condition(name: str, text: str, columns: tuple[str, str], now: datetime, found: Values) -> str:
    """The range table of section 3.1.1.4.5 over half-open intervals; raises FhirError INVALID for what is no date.

    No interval is empty: what ends by a moment has begun before it, which lets an index on the beginnings answer.
    """
    prefix, low, high = _given(name, text, now, found)
    low_column, high_column = columns
    inside = f"({low_column} >= {low} AND {low_column} < {high} AND {high_column} <= {high})"
    return {
        "eq": inside,
        "ne": f"NOT {inside}",
        "gt": f"{high_column} > {high}",
        "lt": f"{low_column} < {low}",
        "ge": f"({high_column} > {high} OR {inside})",
        "le": f"({low_column} < {low} OR {inside})",
        "sa": f"{low_column} >= {high}",
        "eb": f"({low_column} < {low} AND {high_column} <= {low})",
        "ap": f"({low_column} < {high} AND {high_column} > {low})",
    }[prefix]


def moment_condition(name: str, text: str, column: str, now: datetime, found: Values) -> str:
    """The same for a column that is a moment: the shortest interval that PostgreSQL can tell, one microsecond."""
    prefix, low, high = _given(name, text, now, found)
    inside = f"({column} >= {low} AND {column} < {high})"
    return {
        "eq": inside,
        "ne": f"NOT {inside}",
        "gt": f"{column} >= {high}",
        "lt": f"{column} < {low}",
        "ge": f"{column} >= {low}",
        "le": f"{column} < {high}",
        "sa": f"{column} >= {high}",
        "eb": f"{column} < {low}",
        "ap": inside,
    }[prefix]


def _given(name: str, text: str, now: datetime, found: Values) -> tuple[str, str, str]:
    """The prefix and the places of both ends of what is asked for."""
    matched = _PREFIX.fullmatch(text)
    interval = values.date_range(matched.group(2)) if matched else None
    if matched is None or interval is None:
        raise refused(name, "is not a date with an optional prefix, such as 2026-11-21 or ge2026-11-21T10:00:00Z")
    prefix = matched.group(1) or "eq"
    if prefix == "ap":
        margin = abs(now - interval[0]) / 10
        interval = values.later(interval[0], -margin), values.later(interval[1], margin)
    low, high = (found.add(moment.isoformat()) + "::timestamptz" for moment in interval)
    return prefix, low, high
