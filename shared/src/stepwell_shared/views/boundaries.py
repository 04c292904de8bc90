"""The earliest and the latest that a partial date means, and the smallest and the largest that a number rounds from.

https://hl7.org/fhirpath/#lowboundaryprecision-integer-decimal--date--datetime--time
"""

import re
from calendar import monthrange
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from stepwell_shared.views.values import ViewError

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")
_TIME = re.compile(r"(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?")
# Without a zone, a moment may be in any: these are the first and the last that there are.
_EASTERNMOST, _WESTERNMOST = "+14:00", "-12:00"


def boundary(*, is_low: bool) -> Callable[[Any, str], Any]:
    """The function that gives the boundary of a value of a FHIR type (`date`, `dateTime`, `time`, `decimal`)."""

    def of(value: Any, kind: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            raise ViewError("only numbers, dates and times have a boundary")
        if not isinstance(value, str):
            return _number(Decimal(value), is_low=is_low)
        if kind == "time" or _DATE.match(value) is None:
            return _time(value, is_low=is_low)
        if kind == "date":
            return _date(value, is_low=is_low)
        return _moment(value, is_low=is_low)

    return of


def _number(value: Decimal, *, is_low: bool) -> Decimal:
    """Half a unit of the last digit that is written."""
    exponent = value.as_tuple().exponent
    half = Decimal(5).scaleb(int(exponent) - 1)
    return value - half if is_low else value + half


def _date(text: str, *, is_low: bool) -> str:
    match = _DATE.match(text)
    if match is None:
        raise ViewError("a date is expected")
    year, month, day = match.groups()
    month = month or ("01" if is_low else "12")
    day = day or ("01" if is_low else f"{monthrange(int(year), int(month))[1]:02}")
    return f"{year}-{month}-{day}"


def _time(text: str, *, is_low: bool) -> str:
    match = _TIME.match(text)
    if match is None:
        raise ViewError("a time is expected")
    hour, minute, second, fraction = match.groups()
    last = "00" if is_low else "59"
    thousandths = (fraction or "").ljust(3, "0" if is_low else "9")
    return f"{hour}:{minute or last}:{second or last}.{thousandths}"


def _moment(text: str, *, is_low: bool) -> str:
    date, _, rest = text.partition("T")
    time, zone = re.fullmatch(r"([\d:.]*)(Z|[+-]\d\d:\d\d)?", rest).groups()  # type: ignore[union-attr]  # takes all
    clock = _time(time or ("00" if is_low else "23"), is_low=is_low)
    return f"{_date(date, is_low=is_low)}T{clock}{zone or (_EASTERNMOST if is_low else _WESTERNMOST)}"
