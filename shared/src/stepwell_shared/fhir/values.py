"""Search values of a resource: what each kind of search parameter keeps of the elements it reads.

https://hl7.org/fhir/R4/search.html section 3.1.1.4
"""

import calendar
import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from hashlib import sha256
from typing import Any

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
LATEST = datetime(9999, 12, 30, tzinfo=UTC)
KEY_BYTES_MAX = 800  # PostgreSQL refuses index entries above 2,704 bytes, and an entry holds up to three values

_CHARACTERS_THAT_FIT = KEY_BYTES_MAX // 4  # UTF-8 takes four bytes for one at most

EXPONENT_MAX = 300
_NUMBER = re.compile(r"[+-]?\d{1,64}(?:\.\d{1,64})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


_NO_TIME, _SECOND, _MINUTE = timedelta(), timedelta(seconds=1), timedelta(minutes=1)


def index_key(text: str) -> str:
    """A value as it stands in indexes and as search looks for it: a long one keeps its start and gets a digest."""
    if len(text) <= _CHARACTERS_THAT_FIT:
        return text
    encoded = text.encode()
    if len(encoded) <= KEY_BYTES_MAX:
        return text
    digest = sha256(encoded).hexdigest()
    return encoded[: KEY_BYTES_MAX - len(digest)].decode(errors="ignore") + digest


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
    """A string as search compares it: without case and accents (section 3.1.1.4.8), and the start of a long one."""
    if text.isascii():  # most are, and have nothing to take apart
        return text.lower()[:KEY_BYTES_MAX]
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    key = "".join(character for character in decomposed if not unicodedata.combining(character))
    return key.encode()[:KEY_BYTES_MAX].decode(errors="ignore")


def strings(value: Any) -> Iterator[tuple[str, str]]:
    """The comparable key and the exact text of a string, or of every string part of a HumanName or Address."""
    if isinstance(value, str):
        yield text_key(value), value
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in {"use", "type", "period", "id", "extension"} and not name.startswith("_"):
                yield from strings(part)


def displayed_tokens(value: Any) -> Iterator[tuple[str, str, str | None]]:
    """(system, code, display) of a token; the display holds the comparable texts that `:text` looks at, one a line.

    A concept of words alone has no system and no code.
    """
    if not isinstance(value, dict):
        for system, code in tokens(value):
            yield system, code, None
        return
    text = value.get("text") if "coding" in value or "code" not in value else None
    if "value" in value:
        text = value.get("type", {}).get("text") if isinstance(value.get("type"), dict) else None
    codings = value.get("coding", [value])
    found = False
    for coding in codings:
        for system, code in tokens(coding):
            found = True
            yield system, code, _lines(coding.get("display"), text)
    if not found and isinstance(text, str):
        yield "", "", _lines(text)


def _lines(*texts: Any) -> str | None:
    words = [text_key(text).replace("\n", " ") for text in texts if isinstance(text, str)]
    return "\n" + "\n".join(words) if words else None


def typed_identifiers(value: Any) -> Iterator[tuple[str, str]]:
    """(`system|code` of the type, value) of an Identifier that says its type."""
    if isinstance(value, dict) and isinstance(value.get("type"), dict) and isinstance(value.get("value"), str):
        for system, code in tokens(value["type"]):
            yield f"{system}|{code}", value["value"]


def logical(found: list[Any]) -> Iterator[tuple[str, str]]:
    """(system, value) of the identifiers in References."""
    for reference in found:
        if isinstance(reference, dict) and isinstance(reference.get("identifier"), dict):
            yield from tokens(reference["identifier"])


# A value in the order of its row: its system, code, unit and bounds.
Measured = tuple[str | None, str | None, str | None, float | None, float | None]


def measured(value: Any) -> list[Measured]:
    """The bounds of a number, Quantity, Range or SampledData, with its unit; a comparator leaves one end open."""
    if isinstance(value, dict):
        if "low" in value or "high" in value:
            ends = value.get("low", {}), value.get("high", {})
            low, high = float(ends[0].get("value", -math.inf)), float(ends[1].get("value", math.inf))
            return [(*_unit(ends[0] or ends[1]), low, high)]
        if "origin" in value:
            return measured(value["origin"])
        if "value" in value:
            return [(*_unit(value), *_open(float(value["value"]), value.get("comparator", "")))]
    elif isinstance(value, int | float | Decimal | str) and not isinstance(value, bool):
        return [(None, None, None, float(value), float(value))]
    return []


def _open(number: float, comparator: str) -> tuple[float, float]:
    """The bounds of a number; a comparator leaves one side open, and without `=` the number itself out."""
    match comparator:
        case "<":
            return -math.inf, math.nextafter(number, -math.inf)
        case "<=":
            return -math.inf, number
        case ">":
            return math.nextafter(number, math.inf), math.inf
        case ">=":
            return number, math.inf
    return number, number


def _unit(quantity: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    system, code, unit = quantity.get("system"), quantity.get("code"), quantity.get("unit")
    return (
        None if system is None else index_key(system),
        None if code is None else index_key(code),
        None if unit is None else index_key(unit),
    )


def number_range(text: str) -> tuple[float, float, float] | None:
    """A number and the half-open interval that its written precision covers: 100 is [99.5, 100.5); None if none."""
    if _NUMBER.fullmatch(text) is None:
        return None
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > EXPONENT_MAX:
        return None
    half = Decimal(5).scaleb(exponent - 1)
    with localcontext() as context:
        context.prec = 2 * EXPONENT_MAX
        return float(number), float(number - half), float(number + half)


def reference(value: Any, localise: Callable[[str], str]) -> str | None:
    """The address of a Reference or canonical, local ones relative; a logical reference has none."""
    address = value.get("reference") if isinstance(value, dict) else value
    return localise(address) if isinstance(address, str) and not address.startswith("#") else None


def date_range(text: str) -> tuple[datetime, datetime] | None:
    """The half-open interval [low, high) that a partial date or dateTime covers; UTC when no zone is given.

    What reaches beyond the ends of time that we can store ends there.
    """
    matched = _DATE.fullmatch(text)
    if matched is None:
        return None
    year, month, day, hour, _minute, second, fraction, zone = matched.groups()
    if hour is None:
        if "00" in (month, day):
            return None
        return _days(int(year), int(month or 0), int(day or 0))
    leap = _SECOND if second == "60" else _NO_TIME  # 23:59:60 is the moment one second after 23:59:59
    written = f"{text[:17]}59{text[19:]}" if leap else text
    try:
        moment = datetime.fromisoformat(written if zone else f"{written}Z")
    except ValueError:
        return None
    if not leap and EARLIEST.year < moment.year < LATEST.year:  # what nearly all are: far from the ends of time
        low = moment.astimezone(UTC)
        return low, low + _precision(second, fraction)
    low = later(moment, leap)
    return low, later(low, _precision(second, fraction))


def later(moment: datetime, span: timedelta) -> datetime:
    """The moment after the span, in UTC, within the ends of time."""
    try:
        return max(EARLIEST, min(LATEST, moment.astimezone(UTC) + span))
    except OverflowError:
        return EARLIEST if moment.year < 5000 else LATEST


def _days(year: int, month: int, day: int) -> tuple[datetime, datetime] | None:
    """The interval of a date; month and day are 0 when they are not said."""
    try:
        low = datetime(year, month or 1, day or 1, tzinfo=UTC)
    except ValueError:
        return None
    if day:
        days = 1
    elif month:
        days = calendar.monthrange(year, month)[1]
    else:
        days = 366 if calendar.isleap(year) else 365
    return later(low, timedelta()), later(low, timedelta(days=days))


def _precision(second: str | None, fraction: str | None) -> timedelta:
    if second is None:
        return _MINUTE
    if fraction is None:
        return _SECOND
    return timedelta(microseconds=10 ** max(0, 6 - (len(fraction) - 1)))


def period(value: Any) -> tuple[datetime, datetime] | None:
    """The interval of a date, dateTime, instant, Period or Timing; open ends reach to the ends of time."""
    if isinstance(value, str):
        return date_range(value)
    if isinstance(value, dict) and "event" in value:
        # An event that has extensions alone is null in the list.
        ranges = [found for event in value["event"] if event and (found := date_range(event))]
        return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None
    if isinstance(value, dict):
        bounds = value.get("repeat", {}).get("boundsPeriod", value) if "repeat" in value else value
        start = date_range(bounds["start"]) if "start" in bounds else None
        end = date_range(bounds["end"]) if "end" in bounds else None
        if start or end:
            return (start[0] if start else EARLIEST, end[1] if end else LATEST)
    return None
