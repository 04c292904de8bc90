"""S7: which codes a value set holds, and what subsumes what, without a database; refusals first."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_shared.fhir.code_systems import (
    CodeSystem,
    case_sensitive_systems,
    code_system_of,
    known_code_systems,
    known_value_sets,
    own_resources,
    token_key,
)
from stepwell_shared.fhir.definitions import served_types, type_definition
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.search.value_sets import ALL, KNOWN_TO_ALL, NONE, Codes, UnknownCanonicalError

R4 = "http://hl7.org/fhir"
COLOURS = {
    "resourceType": "CodeSystem",
    "url": "urn:colours",
    "content": "complete",
    "concept": [
        {"code": "warm", "concept": [{"code": "red", "concept": [{"code": "crimson"}]}, {"code": "orange"}]},
        {"code": "cold", "concept": [{"code": "blue"}]},
        {
            "code": "purple",
            "property": [{"code": "parent", "valueCode": "red"}, {"code": "parent", "valueCode": "blue"}],
        },
        {"code": "any", "property": [{"code": "child", "valueCode": "warm"}, {"code": "child", "valueCode": "cold"}]},
    ],
}
TERMINOLOGY = KNOWN_TO_ALL.joined("CodeSystem", "urn:colours", COLOURS)


def codes_of(*include: dict[str, Any], exclude: tuple[dict[str, Any], ...] = (), **others: Any) -> dict[str, Codes]:
    """The codes of a value set that is put together so."""
    value_set = {"url": "urn:v", "compose": {"include": list(include), "exclude": list(exclude)}, **others}
    return dict(TERMINOLOGY.joined("ValueSet", "urn:v", value_set).value_set("urn:v"))


def colours(*codes: str) -> dict[str, Codes]:
    return {"urn:colours": Codes(frozenset(codes))}


def of(operator: str, value: str, name: str = "concept") -> dict[str, Any]:
    return {"system": "urn:colours", "filter": [{"property": name, "op": operator, "value": value}]}


@pytest.mark.parametrize(
    "include",
    [
        {"system": "urn:unknown", "filter": [{"property": "concept", "op": "is-a", "value": "x"}]},
        of("regex", "r.*"), of("exists", "true"), of("=", "x", "parent"),
        {"valueSet": ["urn:nobody-knows"]}, {"valueSet": ["urn:v"]}, {},
        {"valueSet": [f"{R4}/ValueSet/administrative-gender|3.0"]},
    ],
)  # fmt: skip
def test_s7_a_value_set_that_cannot_be_worked_out_is_refused_and_never_empty(include: dict[str, Any]) -> None:
    with pytest.raises(FhirError) as caught:
        codes_of(include)
    assert caught.value.status == 400
    assert caught.value.issues[0].code in {"not-found", "not-supported"}


@pytest.mark.parametrize("expansion", [None, {"total": 9, "contains": [{"system": "urn:x", "code": "a"}]}])
def test_s7_a_value_set_without_its_whole_content_is_refused(expansion: dict[str, Any] | None) -> None:
    resource = {"url": "urn:v"} | ({"expansion": expansion} if expansion else {})
    with pytest.raises(FhirError):
        KNOWN_TO_ALL.joined("ValueSet", "urn:v", resource).value_set("urn:v")


@pytest.mark.parametrize("content", ["not-present", "example", "fragment", "supplement"])
def test_s7_an_incomplete_code_system_says_nothing_of_what_it_leaves_out(content: str) -> None:
    assert code_system_of({**COLOURS, "content": content}) is None
    terminology = KNOWN_TO_ALL.joined("CodeSystem", "urn:colours", {**COLOURS, "content": content})
    with pytest.raises(UnknownCanonicalError):
        terminology.code_system("urn:colours")


def test_s7_codes_subsume_by_nesting_and_by_every_property_that_says_so() -> None:
    system = TERMINOLOGY.code_system("urn:colours")
    assert system.below("red") == {"red", "crimson", "purple"}
    assert system.above("purple") == {"purple", "red", "blue", "warm", "cold", "any"}
    assert system.below("any") == set(system.parents)
    assert system.below("nonsense") == {"nonsense"}


def test_s7_a_hierarchy_in_a_circle_ends() -> None:
    circle = CodeSystem("urn:c", "", False, {"a": ("b",), "b": ("a",)})
    assert circle.below("a") == circle.above("a") == {"a", "b"}


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ({"system": "urn:colours", "concept": [{"code": "red"}, {"code": "blue"}]}, ("red", "blue")),
        (of("is-a", "red"), ("red", "crimson", "purple")), (of("descendent-of", "red"), ("crimson", "purple")),
        (of("generalizes", "red"), ("red", "warm", "any")), (of("=", "red"), ("red",)),
        (of("in", "red, blue"), ("red", "blue")),
        (of("is-not-a", "any"), ()),
        (of("not-in", "any,cold,warm,orange,purple"), ("red", "crimson", "blue")),
    ],
)  # fmt: skip
def test_s7_an_include_holds_what_it_says(include: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert codes_of(include) == colours(*expected)


def test_s7_all_that_one_include_says_holds_at_once_and_includes_add_up() -> None:
    both = of("is-a", "warm") | {"filter": [*of("is-a", "warm")["filter"], *of("is-a", "cold")["filter"]]}
    assert codes_of(both) == colours("purple")
    listed = {"system": "urn:colours", "concept": [{"code": "orange"}]}
    assert codes_of(both, listed) == colours("purple", "orange")
    assert codes_of({"system": "urn:colours"}, exclude=(of("is-a", "warm"),)) == colours("cold", "blue", "any")


def test_s7_a_system_that_is_not_known_can_be_included_as_a_whole() -> None:
    whole = {"system": "http://loinc.org"}
    assert codes_of(whole) == {"http://loinc.org": ALL}
    without = codes_of(whole, exclude=({"system": "http://loinc.org", "concept": [{"code": "1-1"}]},))
    assert without == {"http://loinc.org": Codes(frozenset({"1-1"}), is_all_but=True)}


def test_s7_an_expansion_that_is_whole_will_do() -> None:
    nested = {"system": "urn:x", "code": "up", "abstract": True, "contains": [{"system": "urn:x", "code": "down"}]}
    value_set = {"url": "urn:v", "expansion": {"total": 2, "contains": [nested]}}
    found = KNOWN_TO_ALL.joined("ValueSet", "urn:v", value_set).value_set("urn:v")
    assert found == {"urn:x": Codes(frozenset({"down"}))}


def test_s7_a_tenant_cannot_replace_what_r4_defines() -> None:
    url = f"{R4}/ValueSet/administrative-gender"
    forged = KNOWN_TO_ALL.joined("ValueSet", url, {"url": url, "compose": {"include": [{"system": "urn:colours"}]}})
    assert forged.value_set(url) == KNOWN_TO_ALL.value_set(f"{url}|4.0.1")
    assert forged.value_set(url)[f"{R4}/administrative-gender"].listed == {"male", "female", "other", "unknown"}


def test_s7_our_own_code_systems_and_those_of_r4_are_known() -> None:
    assert "https://stepwell.health/fhir/CodeSystem/tier" in known_code_systems()
    assert known_code_systems()[f"{R4}/request-intent"].below("filler-order") == {"filler-order", "instance-order"}
    bound = {
        element.codes
        for name in served_types()
        for element in type_definition(name).elements.values()
        if element.codes is not None
    }
    assert bound <= known_value_sets().keys()


def test_s7_case_matters_only_where_a_system_says_so() -> None:
    own = {each["url"] for each in own_resources("CodeSystem") if each.get("caseSensitive")}
    of_all_codes = {url for url, system in known_code_systems().items() if system.is_case_sensitive}
    assert case_sensitive_systems() == own | of_all_codes
    assert f"{R4}/request-intent" in case_sensitive_systems()
    assert token_key(f"{R4}/request-intent", "Order") == "Order"
    assert token_key("http://hl7.org/fhir/sid/icd-10", "F32.1") == "f32.1"
    assert token_key("", "ÄB") == "Äb"  # A to Z only, as PostgreSQL folds without a locale


CODES = st.builds(Codes, st.frozensets(st.sampled_from("abc")), st.booleans())


@given(CODES, CODES)
def test_codes_are_an_algebra_of_sets(one: Codes, other: Codes) -> None:
    def members(codes: Codes) -> set[str]:
        return {each for each in "abcd" if (each in codes.listed) != codes.is_all_but}

    assert members(one | other) == members(one) | members(other)
    assert members(one & other) == members(one) & members(other)
    assert members(-one) == set("abcd") - members(one)
    assert (one & -one, one | -one) == (NONE, ALL)
