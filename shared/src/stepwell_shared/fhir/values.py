"""Search values of a resource: what each kind of search parameter keeps of the elements it reads.

https://hl7.org/fhir/R4/search.html section 3.1.1.4
"""

import calendar
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
LATEST = datetime(9999, 12, 30, tzinfo=UTC)

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?")


def tokens(value: Any) -> Iterator[tuple[str, str]]:
    """(system, code) pairs of a code, Coding, CodeableConcept, Identifier, ContactPoint or boolean."""
    if isinstance(value, bool):
        yield "", "true" if value else "false"
    elif isinstance(value, str):
        yield "", value
    elif isinstance(value, dict):
        if "coding" in value:
            for coding in value["coding"]:
                yield from tokens(coding)
        code = value.get("code", value.get("value"))
        if isinstance(code, str):
            yield str(value.get("system", "")), code


def text_key(text: str) -> str:
    """A string as search compares it: without case and accents (section 3.1.1.4.8)."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def strings(value: Any) -> Iterator[str]:
    """Comparable keys of a string, or of every string part of a HumanName or Address."""
    if isinstance(value, str):
        yield text_key(value)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in {"use", "type", "period", "id", "extension"} and not name.startswith("_"):
                yield from strings(part)


def references(value: Any, localise: Callable[[str], str]) -> Iterator[str]:
    """The address of a Reference or canonical, local ones relative; a logical reference gives nothing."""
    address = value.get("reference") if isinstance(value, dict) else value
    if isinstance(address, str) and not address.startswith("#"):
        yield localise(address)


def date_range(text: str) -> tuple[datetime, datetime] | None:
    """The half-open interval [low, high) that a partial date or dateTime covers; UTC when no zone is given."""
    matched = _DATE.fullmatch(text)
    if matched is None:
        return None
    year, month, day, hour, _, second, fraction, zone = matched.groups()
    try:
        if hour is not None:
            moment = datetime.fromisoformat(_padded(text, second, fraction, zone))
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return moment, moment + _precision(second, fraction)
        low = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    except ValueError:
        return None
    if day is not None:
        return low, low + timedelta(days=1)
    months = 1 if month is not None else 12
    days = sum(calendar.monthrange(low.year, low.month + offset)[1] for offset in range(months))
    return low, low + timedelta(days=days)


def _padded(text: str, second: str | None, fraction: str | None, zone: str | None) -> str:
    """The text with what `fromisoformat` needs: seconds, at most six digits of fraction, `+00:00` for Z."""
    body = text.removesuffix(zone) if zone else text
    if second is None:
        body += ":00"
    if fraction is not None:
        body = body.removesuffix(fraction) + fraction[:7].ljust(7, "0")
    return body + (zone.replace("Z", "+00:00") if zone else "")


def _precision(second: str | None, fraction: str | None) -> timedelta:
    if second is None:
        return timedelta(minutes=1)
    if fraction is None:
        return timedelta(seconds=1)
    return timedelta(microseconds=10 ** max(0, 6 - (len(fraction) - 1)))


def period(value: Any) -> tuple[datetime, datetime] | None:
    """The interval of a date, dateTime, instant, Period or Timing; open ends reach to the ends of time."""
    if isinstance(value, str):
        return date_range(value)
    if isinstance(value, dict) and "event" in value:
        ranges = [found for event in value["event"] if (found := date_range(event))]
        return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None
    if isinstance(value, dict):
        bounds = value.get("repeat", {}).get("boundsPeriod", value) if "repeat" in value else value
        start = date_range(bounds["start"]) if "start" in bounds else None
        end = date_range(bounds["end"]) if "end" in bounds else None
        if start or end:
            return (start[0] if start else EARLIEST, end[1] if end else LATEST)
    return None
