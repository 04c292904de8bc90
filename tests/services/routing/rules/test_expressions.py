"""The FHIRPath subset: what it refuses, and that what it accepts means what FHIRPath means."""

from decimal import Decimal
from typing import Any

import fhirpathpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.rules.expressions import ExpressionError, Kind, Scalar, Threshold, compile_expression, kind_of

NAMES = {"a": Kind.NUMBER, "b": Kind.NUMBER, "yes": Kind.BOOLEAN, "no": Kind.BOOLEAN, "level": Kind.STRING}


class TestRefusals:
    @pytest.mark.parametrize(
        ("source", "position"),
        [
            ("", 0),
            ("%a >=", 5),
            ("%a >= 16 and", 12),
            ("(%a > 1", 7),
            ("%a > 1)", 6),
            ("%unknown > 1", 0),
            ("%a > 1 and %b.where(true)", 14),
            ("Patient.birthDate", 0),
            ("%a.sum() > 1", 3),
            ("%a.exists(true)", 10),
            ("%yes and now()", 9),
            ("%a in (1)", 3),
            ("%a ~ 2", 3),
            ("%a > 1 xor %b > 1", 7),
            ("'open", 0),
            ("%a > 1 // note", 8),
            ("%a > 1.5.5", 9),
            ("@2026-01-01 < %a", 0),
            ("%a > 1; drop", 6),
            ("__import__('os')", 0),
        ],
    )
    def test_what_is_outside_the_subset_is_refused_with_its_place(self, source: str, position: int) -> None:
        with pytest.raises(ExpressionError) as refused:
            compile_expression(source, NAMES)
        assert refused.value.position == position
        assert f"character {position + 1}" in str(refused.value)

    @pytest.mark.parametrize(
        ("source", "position"),
        [
            ("%a and %yes", 3),
            ("%yes > 1", 5),
            ("%level > 'low'", 7),
            ("%level = 1", 7),
            ("%a.not()", 3),
            ("%a + %level", 3),
            ("-%yes", 0),
            ("%yes implies 1", 5),
            ("%a = %yes", 3),
        ],
    )
    def test_a_type_error_is_refused_with_its_place(self, source: str, position: int) -> None:
        with pytest.raises(ExpressionError) as refused:
            compile_expression(source, NAMES)
        assert refused.value.position == position

    def test_deep_nesting_is_refused_before_it_exhausts_the_stack(self) -> None:
        with pytest.raises(ExpressionError, match="nested deeper"):
            compile_expression("(" * 900 + "%yes" + ")" * 900, NAMES)
        with pytest.raises(ExpressionError, match="nested deeper"):
            compile_expression("-" * 900 + "%a", NAMES)

    def test_a_very_long_text_is_refused(self) -> None:
        with pytest.raises(ExpressionError, match="at most"):
            compile_expression("%yes and " * 1000 + "%yes", NAMES)

    def test_a_binary_float_is_no_evidence(self) -> None:
        with pytest.raises(TypeError):
            kind_of(0.1)  # type: ignore[arg-type]  # the refusal of the wrong type is what is tested


class TestMeaning:
    @pytest.mark.parametrize(
        ("source", "environment", "expected"),
        [
            ("%a >= 16", {"a": 16}, True),
            ("%a >= 16", {"a": 15}, False),
            ("%a >= 16", {}, None),
            ("%a >= 16 or %yes", {"yes": True}, True),
            ("%a >= 16 and %yes", {"yes": False}, False),
            ("%a >= 16 and %yes", {"yes": True}, None),
            ("%a > 1 and %a < 3 or %no", {"a": 5, "no": True}, True),
            ("%a.exists().not()", {}, True),
            ("%yes.not()", {}, None),
            ("%level = 'high'", {"level": "high"}, True),
            ("%level != 'high'", {}, None),
            ("%a / %b > 0.4", {"a": 1, "b": 2}, True),
            ("%a / %b > 0.4", {"a": 1, "b": 0}, None),
            ("%a + 0.1 = 0.3", {"a": Decimal("0.2")}, True),
            ("-%a < -2", {"a": 3}, True),
            ("%yes implies %no", {"yes": False}, True),
            ("%level = 'it\\'s'", {"level": "it's"}, True),
        ],
    )
    def test_missing_evidence_is_empty_and_never_zero_or_false(
        self, source: str, environment: dict[str, Scalar], expected: bool | None
    ) -> None:
        assert compile_expression(source, NAMES).run(environment) is expected

    def test_a_parameter_is_a_constant_and_no_evidence(self) -> None:
        expression = compile_expression("%a >= %minimum", NAMES, {"minimum": 16})
        assert (expression.names, expression.thresholds) == (("a",), (Threshold("a", 16),))
        assert expression.run({"a": 16, "minimum": 99}) is True


def _numbers(depth: int) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(["%a", "%b", "0", "3", "16", "2.5", "-1"])
    if depth == 0:
        return leaf
    inner = _numbers(depth - 1)
    sums = st.tuples(inner, st.sampled_from([" + ", " - ", " * "]), inner).map("".join)
    return leaf | sums | sums.map("({})".format) | inner.map("({}) / 2".format)


def _booleans(depth: int) -> st.SearchStrategy[str]:
    number = _numbers(1)
    compared = st.tuples(number, st.sampled_from([" < ", " <= ", " > ", " >= ", " = ", " != "]), number).map("".join)
    leaf = (
        st.sampled_from(["%yes", "%no", "true", "false", "%level = 'high'", "%level != 'low'", "%a.empty()"])
        | compared
        | st.sampled_from(["%a.exists()", "%level.exists()", "%no.not()"])
    )
    if depth == 0:
        return leaf
    inner = _booleans(depth - 1)
    joined = st.tuples(inner, st.sampled_from([" and ", " or ", " implies "]), inner).map("".join)
    return leaf | joined | joined.map("({}).not()".format) | joined.map("({})".format)


_VALUES = {
    "a": st.integers(-5, 30) | st.decimals(-5, 30, places=2),
    "b": st.integers(-5, 30),
    "yes": st.booleans(),
    "no": st.booleans(),
    "level": st.sampled_from(["low", "moderate", "high"]),
}
_ENVIRONMENTS = st.fixed_dictionaries({}, optional=_VALUES)


@settings(max_examples=200, deadline=None)
@given(source=_booleans(2), environment=_ENVIRONMENTS)
def test_every_expression_of_the_subset_means_what_fhirpath_says(source: str, environment: dict[str, Any]) -> None:
    expected = fhirpathpy.evaluate({}, source, {name: environment.get(name, []) for name in NAMES})
    assert compile_expression(source, NAMES).run(environment) == (expected[0] if expected else None)
