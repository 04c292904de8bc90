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
_ALTERNATIVE = re.compile(r"(?:[^\\,]|\\.|\\$)+", re.DOTALL)
_BEFORE_PIPE = re.compile(r"((?:[^\\|]|\\.)*)\|", re.DOTALL)
_BEYOND_PIPE = "}"  # the character after `|`: bounds a range scan over `url|version`
VALUES_MAX = 1000  # values of one search: each costs the database time and stack


@dataclass
class Values:
    """The values of a statement; each gets its place in the array `$2`."""

    entries: list[str | None] = field(default_factory=list)
    entries_max: int = VALUES_MAX

    def add(self, value: str) -> str:
        """The place of a value that a request or a scope names; raises FhirError INVALID for one too many or a NUL."""
        if len(self.entries) >= self.entries_max:
            text = f"a search takes at most {VALUES_MAX} values"
            raise FhirError(Category.INVALID, [Issue(text, "too-costly")])
        if "\x00" in value:
            raise FhirError(Category.INVALID, [Issue("a search value must not have NUL characters", "value")])
        return self.place(value)

    def place(self, value: str | None) -> str:
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
    return _ALTERNATIVE.findall(text)


def unescape(text: str) -> str:
    return re.sub(r"\\([\\,$|])", r"\1", text)


def condition(parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values) -> str:
    """SQL for `name[:modifier]=text`; raises FhirError INVALID for what is not supported or not well-formed."""
    if modifier == "missing":
        if text not in {"true", "false"}:
            raise refused(f"{parameter.name}:missing", "takes true or false")
        present = _present(parameter, context, found)
        return f"NOT {present}" if text == "true" else present
    parts = alternatives(text)
    if parameter.type == "token" and modifier in {"", "not"}:
        positive = _any(_token(parameter, part, context, found) for part in parts)
        return f"NOT coalesce({positive}, false)" if modifier else positive
    if parameter.type == "reference" and (not modifier or modifier in parameter.targets):
        return _any(_reference(parameter, modifier, unescape(part), context, found) for part in parts)
    if modifier:
        raise refused(parameter.name, "this modifier is not supported")
    if parameter.type == "date":
        return _any(_date(parameter, part, context, found) for part in parts)
    if parameter.type == "string":
        return _any(_string(parameter, unescape(part), context, found) for part in parts)
    return _any(_equal(parameter, [unescape(part)], context, found) for part in parts)


def _any(conditions: Iterable[str]) -> str:
    return "(" + (" OR ".join(conditions) or "false") + ")"


def _row(context: Context, parameter: SearchParameter, found: Values, test: str) -> str:
    """Whether an index row of this parameter passes the test.

    `OFFSET 0` makes it a look-up per candidate row, whatever the statistics say of the parameter as a whole.
    """
    return (
        f"EXISTS (SELECT 1 FROM {context.index_table} AS i WHERE i.tenant = r.tenant AND i.id = r.id"
        f" AND i.parameter = '{parameter.name}'{test} OFFSET 0)"
    )


def _present(parameter: SearchParameter, context: Context, found: Values) -> str:
    if parameter.storage is Storage.ROWS:
        return _row(context, parameter, found, "")
    return f"(r.{column_names(parameter)[0]} IS NOT NULL)"


def _equal(parameter: SearchParameter, wanted: list[str], context: Context, found: Values) -> str:
    return _valued(parameter, context, found, f"{{0}} = ANY({found.add_all([*map(values.index_key, wanted)])})")


def _valued(parameter: SearchParameter, context: Context, found: Values, test: str) -> str:
    """Whether a value of this parameter passes the test, in which `{0}` stands for the value."""
    if parameter.storage is Storage.ROWS:
        return _row(context, parameter, found, f" AND {test.format('i.code')}")
    return f"({test.format(f'r.{parameter.column}')})"


def _token(parameter: SearchParameter, text: str, context: Context, found: Values) -> str:
    system, bar, code = _split_token(text)
    if parameter.storage is Storage.COLUMN:
        # The element is a plain code: its system is implied, and naming it narrows nothing.
        if not code:
            raise refused(parameter.name, "needs a code")
        return f"r.{parameter.column} = {found.add(values.index_key(code))}"
    tests = []
    if code:
        tests.append(f" AND i.code = {found.add(values.index_key(code))}")
    if bar:
        tests.append(f" AND i.system = {found.add(values.index_key(system))}")
    if not code and not system:
        raise refused(parameter.name, "needs a code or a system")
    return _row(context, parameter, found, "".join(tests))


def _split_token(text: str) -> tuple[str, str, str]:
    before = _BEFORE_PIPE.match(text)
    if before is None:
        return "", "", unescape(text)
    return unescape(before.group(1)), "|", unescape(text[before.end() :])


def _reference(parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values) -> str:
    if "/" in text:
        wanted = [context.localise(text)]
    elif modifier:
        wanted = [f"{modifier}/{text}"]
    elif parameter.targets:
        wanted = [f"{target}/{text}" for target in parameter.targets]
    else:
        wanted = [text]
    same = f"{{0}} = ANY({found.add_all([*map(values.index_key, wanted)])})"
    if "://" in text and "|" not in text:
        # A canonical without a version finds every version.
        low, high = found.add(f"{wanted[0]}|"), found.add(f"{wanted[0]}{_BEYOND_PIPE}")
        same = f"({same} OR ({{0}} >= {low} AND {{0}} < {high}))"
    return _valued(parameter, context, found, same)


def _string(parameter: SearchParameter, text: str, context: Context, found: Values) -> str:
    """Starts with, as a range scan: no LIKE, which would lose its index behind row-level security."""
    key = values.text_key(text)
    bounds = f"{{0}} >= {found.add(key)} AND {{0}} < {found.add(key + chr(0x10FFFF))}"
    return _valued(parameter, context, found, bounds)


def _date(parameter: SearchParameter, text: str, context: Context, found: Values) -> str:
    low, high = column_names(parameter)
    return date_condition(parameter.name, text, (f"r.{low}", f"r.{high}"), context.now, found)


def date_condition(name: str, text: str, columns: tuple[str, str], now: datetime, found: Values) -> str:
    """The range table of section 3.1.1.4.5 over half-open intervals; raises FhirError INVALID for what is no date."""
    matched = _PREFIX.fullmatch(text)
    interval = values.date_range(matched.group(2)) if matched else None
    if matched is None or interval is None:
        raise refused(name, "is not a date with an optional prefix, such as 2026-11-21 or ge2026-11-21T10:00:00Z")
    prefix = matched.group(1) or "eq"
    low_column, high_column = columns
    if prefix == "ap":
        margin = abs(now - interval[0]) / 10
        interval = values.later(interval[0], -margin), values.later(interval[1], margin)
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
