"""Dates and times with quantities added to them. http://hl7.org/fhirpath/N1/#datetime-arithmetic"""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

DATE = re.compile(r"[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?")
DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)
TIME = re.compile(r"[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?")
_MONTHS = {"year": 12, "a": 12, "month": 1, "mo": 1}
_SECONDS = {
    "week": 604800,
    "wk": 604800,
    "day": 86400,
    "d": 86400,
    "hour": 3600,
    "h": 3600,
    "minute": 60,
    "min": 60,
    "second": 1,
    "s": 1,
}
CALENDAR = frozenset({"year", "month", "week", "day", "hour", "minute", "second", "millisecond"})
"""Units of time that an expression names in words."""
_AMOUNT_MAX = 10_000_000_000


def moved(text: str, quantity: Any, sign: int) -> str | None:
    """The date or time with this much time added; None when the quantity is no time or the calendar ends.

    Keeps the precision of the text: a date plus days is a date.
    """
    unit = quantity.get("code") or quantity.get("unit")
    amount = quantity.get("value")
    if not isinstance(unit, str) or isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return None
    unit = unit if unit in _MONTHS or unit in _SECONDS else unit.removesuffix("s")
    if not -_AMOUNT_MAX <= amount <= _AMOUNT_MAX or (unit not in _MONTHS and unit not in _SECONDS):
        return None
    try:
        return _moved(text, unit, sign * amount)
    except (ValueError, OverflowError):
        return None


def _moved(text: str, unit: str, amount: int | Decimal) -> str | None:
    if DATE.fullmatch(text):
        parts = [int(part) for part in text.split("-")]
        year, month, day = [*parts, 1, 1][:3]
        moment = datetime(year, month, day, tzinfo=UTC)
        return _added(moment, unit, amount).date().isoformat()[: len(text)]
    if DATE_TIME.fullmatch(text) and "T" in text and len(text) > 16:
        fraction = re.search(r"\.([0-9]+)", text)
        found = _added(datetime.fromisoformat(text), unit, amount)
        written = found.isoformat(timespec="milliseconds" if fraction else "seconds")
        return written.replace("+00:00", "Z") if text.endswith("Z") else written
    return None


def _added(moment: datetime, unit: str, amount: int | Decimal) -> datetime:
    if unit in _MONTHS:
        months = moment.year * 12 + moment.month - 1 + int(amount) * _MONTHS[unit]
        year, month = divmod(months, 12)
        return moment.replace(year=year, month=month + 1, day=min(moment.day, _days(year, month + 1)))
    return moment + timedelta(seconds=float(amount * _SECONDS[unit]))


def _days(year: int, month: int) -> int:
    return monthrange(year, month)[1]
