"""Promises of our FHIRPath: no expression runs for long, and what cannot be read or used is refused with its place."""

import time
from decimal import Decimal
from typing import Any

import pytest
from stepwell_screening.rules.fhirpath import Budget, ExpressionError, Run, TooCostlyError, compile_path, root

WIDE: dict[str, Any] = {
    "item": [{"linkId": str(number), "answer": [{"valueInteger": number}]} for number in range(500)]
}


def values(source: str, resource: Any = None, *, steps: int = 100_000, **names: Any) -> list[Any]:
    focus = root(resource)
    given = {name: root(each) for name, each in names.items()}
    return [item.value for item in compile_path(source)(Run(Budget(steps)), focus, {"resource": focus, **given})]


@pytest.mark.parametrize(
    "source",
    [
        "descendants().where(%resource.descendants().where(%resource.descendants().exists()).exists())",
        "item.repeat(%resource.item)",
        "item.select(%resource.item.select(%resource.item)).count()",
        "item.aggregate($total.combine($total), 1).count()",
        "item.aggregate($total & $total, 'some words that grow and grow').length()",
        "item.linkId.distinct().combine(%resource.item.linkId).distinct().combine(%resource.descendants()).distinct()",
        f"item.select(%resource.item.select((1{' is String' * 100})))",
        "item.select(%resource.item.select(2.718.power(3.3)))",
        f"item.select(%resource.item.select(1{' + 1' * 100}))",
        "item.aggregate(iif($total.exists(), $total.replace('a', 'aaaaaaaaaaaaaaaaaaaa'), 'a'))",
    ],
)
def test_an_expression_that_grows_without_end_is_stopped(source: str) -> None:
    before = time.process_time()
    with pytest.raises(TooCostlyError):
        values(source, WIDE)
    assert time.process_time() - before < 5  # a bound on a hang, not a measurement


@pytest.mark.parametrize("pattern", ["(a*)*b", "((a|a)*)*b", "(a|aa)+$b", "(.*)(.*)(.*)(.*)(.*)b"])
def test_a_pattern_that_would_backtrack_for_ever_is_answered_at_once(pattern: str) -> None:
    assert values(f"'{'a' * 2000}'.matches('{pattern}')") == [False]


@pytest.mark.parametrize(
    "source", ["2.power(9999999)", "99999999999.power(99999)", "(9999999999).exp()", "1 / 0", "1 mod 0"]
)
def test_arithmetic_without_an_answer_in_bounds_is_empty(source: str) -> None:
    assert values(source) == []


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("item.where(", "character 12"),
        ("item..linkId", "character 6"),
        ("1 +", "character 4"),
        ("item.nothing()", "character 6"),
        ("item.where()", "character 6"),
        ("item.memberOf('x')", "character 6"),
        ("'unfinished", "character 1"),
        ("item.linkId = 'a' 'b'", "character 19"),
        ("item[", "character 6"),
        ("and", "character 1"),
        ("(" * 41 + "1" + ")" * 41, "at most 40 deep"),
        ("1" * 4001, "at most 4000 characters"),
        (f"1{' + 1' * 600}", "at most 500 operators"),
        (f"item{'.item' * 600}", "at most 500 operators"),
        ("item.$this", "character 6"),
    ],
)
def test_what_is_no_expression_here_is_refused_with_its_place(source: str, place: str) -> None:
    with pytest.raises(ExpressionError, match=place):
        compile_path(source)


@pytest.mark.parametrize(
    "source",
    ["%nobody", "item.linkId + 'x'", "item.linkId.substring(0)", "1 < 'a'", "'a' * 2", "item.skip('x')", "true & 'x'"],
)
def test_what_does_not_fit_the_data_is_an_error_and_never_a_guess(source: str) -> None:
    with pytest.raises(ExpressionError):
        values(source, WIDE)


@pytest.mark.parametrize(
    "pattern", ["(", "a)", "[a", "*a", "(?=a)", r"\1", "a{2", "a{1,2000}", "[a&&b]", "a" * 501, "(" * 25]
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str) -> None:
    quoted = pattern.replace("\\", "\\\\")
    with pytest.raises(ExpressionError, match="pattern"):
        values(f"'a'.matches('{quoted}')")


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("abc", "^abc$", True),
        ("abc", "bc?", True),
        ("abc", "^b", False),
        ("2026-11-21", r"^\d{4}-\d{2}-\d{2}$", True),
        ("2026-11-2", r"^\d{4}-\d{2}-\d{2}$", False),
        ("+49 30", r"^\+[0-9 ]{4,}$", True),
        ("x", "[^x]", False),
        ("a]", r"^[\]a]+$", True),
        ("cat", "^(dog|cat)$", True),
        ("catdog", "^(?:dog|cat){2}$", True),
        ("", "^$", True),
    ],
)
def test_a_pattern_finds_what_it_means(text: str, pattern: str, expected: bool) -> None:
    assert values("%text.matches(%pattern)", text=text, pattern=pattern) == [expected]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1.5.round()", [2]),
        ("4 'kg' > 3 'kg'", [True]),
        ("4 'kg' > 3 'g'", []),
        ("(2 'kg' + 3 'kg').value", [5]),
        ("(2 'kg' * 3).value", [6]),
        ("true.toString()", ["true"]),
        ("1.10 + 2.2", [Decimal("3.30")]),
        ("'it\\'s \\u00e4'", ["it's ä"]),
        ("(1 | 2 | 3).sum()", [6]),
        ("(1 | 2 | 3).avg()", [2]),
        ("(3 | 1 | 2).min()", [1]),
        ("(3 | 1 | 2).max()", [3]),
        ("{}.sum()", []),
        ("@2026-01-01T10:00:00Z - 1 hour", ["2026-01-01T09:00:00Z"]),
        ("@9999-12-31 + 1 day", []),
        ("'5 \\'mg\\''.toQuantity().code", ["mg"]),
        ("%`a name` + 1 // a remark", [8]),
        ("'a'.hasValue()", [True]),
        ("1 is System.Integer", [True]),
        ("'a' is Quantity", [False]),
    ],
)
def test_what_other_implementations_leave_out_is_answered(source: str, expected: list[Any]) -> None:
    assert values(source, **{"a name": 7}) == expected


def test_a_primitive_with_extensions_alone_is_there_and_has_no_value() -> None:
    resource = {"_birthDate": {"extension": [{"url": "https://x.example/why", "valueCode": "unknown"}]}}
    assert values("birthDate.exists()", resource) == [True]
    assert values("birthDate.hasValue()", resource) == [False]
    assert values("birthDate.extension('https://x.example/why').value", resource) == ["unknown"]


def test_a_budget_is_shared_by_all_that_one_request_evaluates() -> None:
    run = Run(Budget(1_000))
    focus = root(WIDE)
    compile_path("item.count()")(run, focus, {})
    with pytest.raises(TooCostlyError):
        compile_path("item.answer.count()")(run, focus, {})
