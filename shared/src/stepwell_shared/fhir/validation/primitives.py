"""The primitive datatypes of R4 as patterns and ranges that Python and the schema engine both read.

Dates are real dates: 2026-02-30 and 2025-02-29 do not match. https://hl7.org/fhir/R4/datatypes.html#primitive
"""

import re
from decimal import Decimal
from math import isfinite

STRING_LENGTH_MAX = 1_048_576

# Unicode white space and controls, spelled out because the two regular expression engines disagree on \s.
BLANK = "\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_YEAR = "(?:[0-9](?:[0-9](?:[0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_LEAP_YEAR = "(?:[0-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY_OF_YEAR = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_FULL_DATE = f"(?:{_YEAR}-{_DAY_OF_YEAR}|{_LEAP_YEAR}-02-29)"
_PARTIAL_DATE = f"{_YEAR}(?:-(?:0[1-9]|1[0-2]))?"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_BASE64 = "[0-9a-zA-Z+/]"
_GAP = "[ \\t\\r\\n]*"

PATTERNS: dict[str, str] = {
    "date": f"{_FULL_DATE}|{_PARTIAL_DATE}",
    "dateTime": f"{_FULL_DATE}(?:T{_TIME}{_ZONE})?|{_PARTIAL_DATE}",
    "instant": f"{_FULL_DATE}T{_TIME}{_ZONE}",
    "time": _TIME,
    "id": r"[A-Za-z0-9.\-]{1,64}",
    "uri": f"[^{BLANK}]+",
    "url": f"[^{BLANK}]+",
    "canonical": f"[^{BLANK}]+",
    "code": f"[^{BLANK}]+(?: [^{BLANK}]+)*",
    "oid": r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+",
    "uuid": "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "base64Binary": (
        f"{_GAP}(?:(?:{_BASE64}{_GAP}){{4}})*"
        f"(?:(?:{_BASE64}{_GAP}){{4}}|(?:{_BASE64}{_GAP}){{3}}={_GAP}|(?:{_BASE64}{_GAP}){{2}}={_GAP}={_GAP})"
    ),
}
RANGES: dict[str, tuple[int, int]] = {
    "integer": (-2_147_483_648, 2_147_483_647),
    "unsignedInt": (0, 2_147_483_647),
    "positiveInt": (1, 2_147_483_647),
}
# The same without characters beyond ASCII: far smaller automata for the gate, which leaves the rest to the exact walk.
ORDINARY_PATTERNS = {kind: pattern.replace(f"[^{BLANK}]", "[!-~]") for kind, pattern in PATTERNS.items()}
_COMPILED = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}
_ADVICE = {
    "date": "must be a date that exists: YYYY, YYYY-MM or YYYY-MM-DD",
    "dateTime": "must be YYYY, YYYY-MM, YYYY-MM-DD or a full date and time with seconds and zone",
    "instant": "must be a full date and time with seconds and zone",
    "time": "must be a time as hh:mm:ss",
    "id": "must be an id: 1 to 64 of letters, digits, '-' and '.'",
    "code": "must be a code without leading, trailing or double spaces",
    "oid": "must be an OID as urn:oid:...",
    "uuid": "must be a lower-case UUID as urn:uuid:...",
    "base64Binary": "must be base64",
}


def problem(kind: str, value: object) -> tuple[str, str] | None:
    """What is wrong with a primitive value as (R4 issue code, advice), or None. Never quotes the value."""
    if kind == "boolean":
        return None if isinstance(value, bool) else ("value", "must be true or false")
    if kind in RANGES:
        return _integer_problem(kind, value)
    if kind == "decimal":
        is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool) and isfinite(value)
        return None if is_number else ("value", "must be a number")
    return _text_problem(kind, value)


def _integer_problem(kind: str, value: object) -> tuple[str, str] | None:
    low, high = RANGES[kind]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        return "value", f"must be a whole number from {low} to {high}"
    return None


def _text_problem(kind: str, value: object) -> tuple[str, str] | None:
    if not isinstance(value, str):
        return "value", "must be a string"
    if not value:
        return "value", "must not be empty: leave the element out"
    pattern = _COMPILED.get(kind)
    if pattern is not None and not pattern.fullmatch(value):
        return "value", _ADVICE.get(kind, f"must be a {kind} without spaces")
    if pattern is None and len(value) > STRING_LENGTH_MAX:
        return "too-long", f"must not be longer than {STRING_LENGTH_MAX} characters"
    return None
