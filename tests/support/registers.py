"""Registers of security and safety: TOML files whose rows name the tests that prove them, or say why there is none.

`python -m tests.support.registers` writes their tables into the pages of docs/ that show them;
`make rows ROWS=owasp` runs the tests that one register names, and prints how each row went.
"""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.support.checklist import TESTS, Checklist, functions, split_name

ROOT = TESTS.parent
FOLDER = TESTS / "security"
NAMES = ("owasp", "asvs", "threats", "hazards")


@dataclass(frozen=True)
class Row:
    """What is asked or feared; what stands beside it: tests, parts of `make check`, a reason, or that it is open."""

    id: str
    told: Mapping[str, str]
    tests: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    reason: str = ""
    open: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether something stands beside it."""
        return bool(self.tests or self.checks or self.reason or self.open)


@dataclass(frozen=True)
class Register:
    """The rows of one file, in its order. `columns` are what the table shows of each: name in the data to heading."""

    name: str
    title: str
    page: str
    columns: Mapping[str, str]
    chapters: Mapping[str, str]
    rows: tuple[Row, ...]
    data: Mapping[str, Any]

    def checklist(self) -> Checklist:
        """For `make rows`."""
        proved = defaultdict(list)
        for row in self.rows:
            for reference in row.tests:
                for found in found_tests(reference):
                    proved[found].append(row.id)

        def rows_of(test: str) -> tuple[list[str], str]:
            path, *_, name = test.split("::")
            return proved.get((path.removeprefix("tests/"), name), []), _words(name)

        first = next(iter(self.columns))
        asked = {row.id: row.told[first] for row in self.rows if row.tests}
        return Checklist(self.title, asked, rows_of)


def register(name: str) -> Register:
    """One register, read from its file."""
    data = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    columns = data["columns"]
    return Register(
        name=name,
        title=data["title"],
        page=data["page"],
        columns=columns,
        chapters=data.get("chapters", {}),
        rows=tuple(_row(id_, _with_classes(given, data), columns) for id_, given in data["rows"].items()),
        data=data,
    )


def _row(id_: str, given: Mapping[str, Any], columns: Mapping[str, str]) -> Row:
    unknown = given.keys() - {*columns, "tests", "checks", "reason", "open"}
    if unknown or columns.keys() - given.keys():
        raise ValueError(f"{id_}: says {sorted(unknown)}, and must say {sorted(columns)}")
    return Row(
        id=id_,
        told={column: str(given[column]) for column in columns},
        tests=tuple(given.get("tests", ())),
        checks=tuple(given.get("checks", ())),
        reason=given.get("reason", ""),
        open=given.get("open", ""),
    )


def _with_classes(given: Mapping[str, Any], data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of a register with a risk matrix, with the class behind each `severity, likelihood`."""
    rated = {name: given[name] for name in ("initial", "residual") if "matrix" in data}
    return {**given, **{name: f"{text}: **{risk_class(text, data)}**" for name, text in rated.items()}}


def risk_class(rating: str, data: Mapping[str, Any]) -> int:
    """The class of `severity, likelihood` in the matrix of a register. Raises ValueError for words that it lacks."""
    severity, likelihood = rating.split(", ")
    found: int = data["matrix"][data["likelihoods"].index(likelihood)][data["severities"].index(severity)]
    return found


@cache
def every_test() -> Mapping[str, tuple[str, ...]]:
    """The files below tests/ in which a test of that name is."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, name in functions(TESTS):
        found[name].add(path.relative_to(TESTS).as_posix())
    return {name: tuple(sorted(paths)) for name, paths in found.items()}


def found_tests(reference: str) -> list[tuple[str, str]]:
    """File and name of each test that `name` or `file::name` means; the file may be the end of its path without .py."""
    place, _, name = reference.rpartition("::")
    paths = every_test().get(name, ())
    return [(path, name) for path in paths if not place or f"/{path}".endswith(f"/{place}.py")]


def parts_of_check() -> set[str]:
    """The parts of `make check`."""
    text = (TESTS / "external" / "__main__.py").read_text(encoding="utf-8")
    checks = next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.AnnAssign))
    assert isinstance(checks.value, ast.Dict)
    return {ast.literal_eval(key) for key in checks.value.keys if key is not None}


def written(page: str, shown: Register) -> str:
    """A page with the tables of a register between its marks."""
    begin, end = f"<!-- {shown.name}: begin -->\n", f"<!-- {shown.name}: end -->\n"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{''.join(_tables(shown))}{end}{after}"


def _tables(shown: Register) -> Iterator[str]:
    answered = sum(bool(row.tests or row.checks) for row in shown.rows)
    reasons = sum(bool(row.reason and not (row.tests or row.checks)) for row in shown.rows)
    opens = sum(bool(row.open) for row in shown.rows)
    counts = f"{answered} with tests, {reasons} with a reason alone, {opens} with something open"
    yield f"{len(shown.rows)} rows: {counts}.\n"
    left_out: Mapping[str, str] = shown.data.get("not_applicable", {})
    for chapter, title in (shown.chapters or {"": ""}).items():
        rows = [row for row in shown.rows if is_within(row.id, chapter)]
        yield f"\n### {title}\n" if title else ""
        if rows:
            yield f"\n| | {' | '.join(shown.columns.values())} | What stands beside it |\n"
            yield f"|---|{'---|' * len(shown.columns)}---|\n"
        for row in rows:
            yield f"| {row.id} | {' | '.join(row.told.values())} | {_beside(row)} |\n"
        for prefix, reason in left_out.items():
            yield f"\nNot applicable: {prefix}. {reason}\n" if is_within(prefix, chapter) else ""
    yield "\n"


def is_within(id_: str, prefix: str) -> bool:
    """Whether a row is one of a chapter, a section, or itself: V1.2.3 is in V1 and V1.2, and not in V1.1 or V10."""
    return not prefix or id_ == prefix or re.match(rf"{re.escape(prefix)}[.-]", id_) is not None


def _beside(row: Row) -> str:
    said = [f"[{_words(name)}](../tests/{path})" for each in row.tests for path, name in found_tests(each)]
    said += [f"`make check`: {each}" for each in row.checks]
    said += [row.reason] if row.reason else []
    said += [f"**Open:** {row.open}"] if row.open else []
    return "<br>".join(said)


def _words(name: str) -> str:
    return split_name(name)[1]


def main(names: Iterable[str]) -> None:
    """Writes the tables of these registers, or of all, into their pages."""
    for name in names:
        shown = register(name)
        page = ROOT / shown.page
        page.write_text(written(page.read_text(encoding="utf-8"), shown), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or NAMES)
