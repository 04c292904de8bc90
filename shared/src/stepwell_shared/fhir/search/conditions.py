"""One search parameter of a request as an SQL condition; values travel as numbered entries of one array.

https://hl7.org/fhir/R4/search.html section 3.1.1.4
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from stepwell_shared.fhir import values
from stepwell_shared.fhir.indexing import Localise
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import SearchParameter, Storage
from stepwell_shared.fhir.schema import column_names

_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)
_UNESCAPED_COMMA = re.compile(r"(?<!\\),")
_BEYOND_PIPE = "}"  # the character after `|`: bounds a range scan over `url|version`


@dataclass
class Values:
    """The values of a statement; each gets its place in the array `$2`."""

    entries: list[str | None] = field(default_factory=list)

    def add(self, value: str) -> str:
        self.entries.append(value)
        return f"$2[{len(self.entries)}]"

    def add_all(self, found: list[str]) -> str:
        return f"ARRAY[{', '.join(self.add(value) for value in found)}]"


@dataclass(frozen=True)
class Context:
    """What a condition needs to know beside the parameter."""

    index_table: str
    localise: Localise
    now: datetime


def refused(name: str, text: str) -> FhirError:
    """A 400 that names the parameter, never its value."""
    return FhirError(Category.INVALID, [Issue(f"{name}: {text}", "value", f"http.{name}")])


def alternatives(text: str) -> list[str]:
    """The OR parts of one value; `\\` escapes `,`, `$`, `|` and itself (section 3.1.1.4.19)."""
    return [part for part in _UNESCAPED_COMMA.split(text) if part]


def unescape(text: str) -> str:
    return re.sub(r"\\([\\,$|])", r"\1", text)


def condition(parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values) -> str:
    """SQL for `name[:modifier]=text`; raises FhirError INVALID for what is not supported or not well-formed."""
    name = f"{parameter.name}:{modifier}" if modifier else parameter.name
    if modifier == "missing":
        if text not in {"true", "false"}:
            raise refused(name, "takes true or false")
        present = _present(parameter, context, found)
        return f"NOT {present}" if text == "true" else present
    parts = alternatives(text)
    if parameter.type == "token" and modifier in {"", "not"}:
        positive = _any(_token(parameter, part, context, found) for part in parts)
        return f"NOT coalesce({positive}, false)" if modifier else positive
    if parameter.type == "reference" and (not modifier or modifier in parameter.targets):
        return _any(_reference(parameter, modifier, unescape(part), context, found) for part in parts)
    if modifier:
        raise refused(name, "this modifier is not supported")
    if parameter.type == "date":
        return _any(_date(parameter, part, context, found) for part in parts)
    if parameter.type == "string":
        return _any(_string(parameter, unescape(part), context, found) for part in parts)
    return _any(_equal(parameter, [unescape(part)], context, found) for part in parts)


def _any(conditions: Iterable[str]) -> str:
    return "(" + (" OR ".join(conditions) or "false") + ")"


def _row(context: Context, parameter: SearchParameter, found: Values, test: str) -> str:
    """Whether an index row of this parameter passes the test."""
    return (
        f"EXISTS (SELECT 1 FROM {context.index_table} AS i WHERE i.tenant = r.tenant AND i.id = r.id"
        f" AND i.parameter = {found.add(parameter.name)}{test})"
    )


def _present(parameter: SearchParameter, context: Context, found: Values) -> str:
    if parameter.storage is Storage.ROWS:
        return _row(context, parameter, found, "")
    return f"(r.{column_names(parameter)[0]} IS NOT NULL)"


def _equal(parameter: SearchParameter, wanted: list[str], context: Context, found: Values) -> str:
    if parameter.storage is Storage.ROWS:
        return _row(context, parameter, found, f" AND i.code = ANY({found.add_all(wanted)})")
    return f"r.{parameter.column} = ANY({found.add_all(wanted)})"


def _token(parameter: SearchParameter, text: str, context: Context, found: Values) -> str:
    system, bar, code = _split_token(text)
    if parameter.storage is Storage.COLUMN:
        # The element is a plain code: its system is implied, and naming it narrows nothing.
        if not code:
            raise refused(parameter.name, "needs a code")
        return f"r.{parameter.column} = {found.add(code)}"
    tests = []
    if code:
        tests.append(f" AND i.code = {found.add(code)}")
    if bar:
        tests.append(f" AND i.system = {found.add(system)}")
    if not code and not system:
        raise refused(parameter.name, "needs a code or a system")
    return _row(context, parameter, found, "".join(tests))


def _split_token(text: str) -> tuple[str, str, str]:
    parts = re.split(r"(?<!\\)\|", text, maxsplit=1)
    if len(parts) == 1:
        return "", "", unescape(parts[0])
    return unescape(parts[0]), "|", unescape(parts[1])


def _reference(parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values) -> str:
    if "://" in text and not modifier:
        wanted = [context.localise(text)]
    elif "/" in text:
        wanted = [text]
    elif modifier:
        wanted = [f"{modifier}/{text}"]
    elif parameter.targets:
        wanted = [f"{target}/{text}" for target in parameter.targets]
    else:
        wanted = [text]
    same = _equal(parameter, wanted, context, found)
    if "://" not in text or "|" in text or parameter.storage is Storage.ROWS:
        return same
    # A canonical without a version finds every version.
    column, low, high = f"r.{parameter.column}", found.add(f"{wanted[0]}|"), found.add(f"{wanted[0]}{_BEYOND_PIPE}")
    return f"({same} OR ({column} >= {low} AND {column} < {high}))"


def _string(parameter: SearchParameter, text: str, context: Context, found: Values) -> str:
    """Starts with, as a range scan: no LIKE, which would lose its index behind row-level security."""
    key = values.text_key(text)
    bounds = f"{{0}} >= {found.add(key)} AND {{0}} < {found.add(key + chr(0x10FFFF))}"
    if parameter.storage is Storage.ROWS:
        return _row(context, parameter, found, " AND " + bounds.format("i.code"))
    return "(" + bounds.format(f"r.{parameter.column}") + ")"


def _date(parameter: SearchParameter, text: str, context: Context, found: Values) -> str:
    matched = _PREFIX.fullmatch(text)
    interval = values.date_range(matched.group(2)) if matched else None
    if matched is None or interval is None:
        raise refused(parameter.name, "is not a date such as 2026-11-21 or 2026-11-21T10:00:00Z")
    low_column, high_column = (f"r.{name}" for name in column_names(parameter))
    return date_condition(matched.group(1) or "eq", interval, (low_column, high_column), context.now, found)


def date_condition(
    prefix: str, interval: tuple[datetime, datetime], columns: tuple[str, str], now: datetime, found: Values
) -> str:
    """The range table of section 3.1.1.4.5 over half-open intervals."""
    low_column, high_column = columns
    if prefix == "ap":
        margin = abs(now - interval[0]) / 10
        interval = interval[0] - margin, interval[1] + margin
    low, high = (found.add(moment.isoformat()) + "::timestamptz" for moment in interval)
    inside = f"({low_column} >= {low} AND {high_column} <= {high})"
    return {
        "eq": inside,
        "ne": f"NOT {inside}",
        "gt": f"{high_column} > {high}",
        "lt": f"{low_column} < {low}",
        "ge": f"({high_column} > {high} OR {inside})",
        "le": f"({low_column} < {low} OR {inside})",
        "sa": f"{low_column} >= {high}",
        "eb": f"{high_column} <= {low}",
        "ap": f"({low_column} < {high} AND {high_column} > {low})",
    }[prefix]
