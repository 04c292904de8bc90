"""What keeps a Questionnaire from being published, each at its place, and which version is the newest."""

from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.answers import AnswerRule
from stepwell_screening.rules.constraints import CONSTRAINT
from stepwell_screening.rules.expressions import SDC, VARIABLE
from stepwell_screening.rules.publication import ITEMS_MAX, check_publication, check_revision, newest

Resource = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"


def form(*items: Resource, **members: Any) -> Resource:
    return {
        "resourceType": "Questionnaire",
        "url": "https://clinic.example/Q",
        "version": "1",
        "item": list(items),
        **members,
    }


def item(link_id: str, kind: str = "decimal", *extensions: Resource, **members: Any) -> Resource:
    found = {"linkId": link_id, "type": kind, "extension": list(extensions), **members}
    return {name: value for name, value in found.items() if value != []}


def expression(kind: str, text: str, *, language: str = "text/fhirpath", **members: Any) -> Resource:
    url = VARIABLE if kind == "variable" else f"{SDC}{kind}"
    return {"url": url, "valueExpression": {"language": language, "expression": text, **members}}


def calculated(text: str) -> Resource:
    return expression("calculatedExpression", text)


def value_of(link_id: str) -> str:
    return f"%resource.item.where(linkId = '{link_id}').answer.value"


def places(questionnaire: Resource, **more: Any) -> list[str]:
    given = {"safety_items": False, "crisis_contacts": 0, **more}
    return [finding.expression for finding in check_publication(questionnaire, **given)]


@pytest.mark.parametrize("member", ["url", "version"])
@pytest.mark.parametrize("value", [None, "a|b", "a#b", "a b" * 30])
def test_a_form_without_a_usable_name_is_refused(member: str, value: str | None) -> None:
    assert places(form(item("a"), **{member: value})) == [f"Questionnaire.{member}"]


def test_a_form_that_asks_nothing_or_too_much_is_refused() -> None:
    assert places(form()) == ["Questionnaire.item"]
    assert places(form(*(item(str(number)) for number in range(ITEMS_MAX + 1)))) == ["Questionnaire.item"]


@pytest.mark.parametrize(("contacts", "refused"), [(0, ["Questionnaire"]), (1, [])])
def test_a_form_with_safety_items_waits_for_crisis_contacts(contacts: int, refused: list[str]) -> None:
    assert places(form(item("a")), safety_items=True, crisis_contacts=contacts) == refused


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ("nowhere", "item[1].enableWhen[0].question"),
        ("heading", "item[1].enableWhen[0].question"),
        ("b", "item[1].enableWhen"),
    ],
)
def test_a_condition_on_no_question_or_on_itself_is_refused(question: str, place: str) -> None:
    condition = {"question": question, "operator": "exists", "answerBoolean": True}
    questionnaire = form(item("heading", "display"), item("b", enableWhen=[condition]))
    assert places(questionnaire) == [f"Questionnaire.{place}"]


def test_conditions_in_a_circle_are_refused() -> None:
    first, second = ({"question": each, "operator": "exists", "answerBoolean": True} for each in ("b", "a"))
    questionnaire = form(item("a", enableWhen=[first]), item("b", enableWhen=[second]))
    assert places(questionnaire) == ["Questionnaire.item[0].enableWhen", "Questionnaire.item[1].enableWhen"]


def test_a_group_that_depends_on_a_question_inside_it_is_refused() -> None:
    condition = {"question": "inside", "operator": "exists", "answerBoolean": True}
    questionnaire = form(item("group", "group", enableWhen=[condition], item=[item("inside")]))
    assert places(questionnaire) == ["Questionnaire.item[0].enableWhen"]


def test_a_condition_on_an_earlier_question_is_taken() -> None:
    condition = {"question": "a", "operator": "exists", "answerBoolean": True}
    assert places(form(item("a"), item("b", enableWhen=[condition]))) == []


@pytest.mark.parametrize(
    ("faulty", "place"),
    [
        (item("a", "choice", answerValueSet="https://clinic.example/ValueSet/far"), "item[0]"),
        (item("a", "string", {"url": f"{CORE}regex", "valueString": "("}), "item[0]"),
        (item("a", "string", {"url": f"{CORE}regex", "valueString": r"(a)\1"}), "item[0]"),
        (item("a", "decimal", expression("enableWhenExpression", "true")), "item[0].extension[0]"),
        (item("a", "decimal", calculated("1 +")), "item[0].extension[0]"),
        (item("a", "decimal", calculated("'a'.memberOf('b')")), "item[0].extension[0]"),
        (item("a", "decimal", calculated("%nobody + 1")), "item[0].extension[0]"),
        (item("a", "decimal", expression("calculatedExpression", "1", language="text/cql")), "item[0].extension[0]"),
        (item("a", "decimal", calculated("1"), initial=[{"valueDecimal": 1}]), "item[0].initial"),
        (item("a", "decimal", calculated(value_of("a"))), "item[0].extension[0]"),
    ],
)
def test_what_cannot_be_run_here_is_refused_at_its_place(faulty: Resource, place: str) -> None:
    assert places(form(faulty)) == [f"Questionnaire.{place}"]


def test_a_word_that_is_no_linkid_makes_no_circle() -> None:
    assert places(form(item("a", "string", calculated("iif(true, 'a', 'b')")))) == []


def test_a_pattern_that_could_run_for_ever_is_decided_at_once() -> None:
    rule = AnswerRule(item("a", "string", {"url": f"{CORE}regex", "valueString": "(a+)+b"}))
    assert rule.content([{"valueString": "a" * 40 + "b"}]) == []
    assert rule.content([{"valueString": "a" * 40}]) != []


def test_values_that_are_calculated_from_each_other_are_refused() -> None:
    questionnaire = form(
        item("a", "decimal", calculated(f"{value_of('b')} + 1")),
        item("b", "decimal", calculated("%half * 2"), expression("variable", value_of("a"), name="half")),
        item("c", "decimal", calculated(value_of("a"))),
    )
    assert places(questionnaire) == ["Questionnaire.item[0].extension[0]", "Questionnaire.item[1].extension[0]"]


def test_a_name_that_is_declared_twice_on_one_element_is_refused() -> None:
    twice = [expression("variable", "1", name="x"), expression("variable", "2", name="x")]
    assert places(form(item("a"), extension=twice)) == ["Questionnaire.extension[0]", "Questionnaire.extension[1]"]


def test_more_expressions_on_one_element_than_anybody_reads_are_refused() -> None:
    many = [expression("variable", "1", name=f"x{number}") for number in range(101)]
    assert places(form(item("a", "decimal", *many))) == ["Questionnaire.item[0].extension"]


def test_a_form_full_of_conditions_is_looked_through_at_once() -> None:
    conditions = [{"question": str(number), "operator": "exists", "answerBoolean": True} for number in range(300)]
    items = [item(str(number), enableWhen=conditions[:number], enableBehavior="any") for number in range(300)]
    assert places(form(*items)) == []
    items[0] = item("0", enableWhen=conditions[-1:])
    assert len(places(form(*items))) == len(items)


def test_variables_that_need_each_other_are_refused() -> None:
    circle = [expression("variable", "%y", name="x"), expression("variable", "%x", name="y")]
    assert places(form(item("a"), extension=circle)) == ["Questionnaire"]


def test_a_variable_needs_a_name() -> None:
    assert places(form(item("a"), extension=[expression("variable", "1")])) == ["Questionnaire.extension[0]"]


def test_a_constraint_that_is_no_fhirpath_is_refused() -> None:
    parts = [{"url": "severity", "valueCode": "error"}, {"url": "expression", "valueString": "1 +"}]
    assert places(form(item("a", "decimal", {"url": CONSTRAINT, "extension": parts}))) == [
        "Questionnaire.item[0].extension[0]"
    ]


def test_a_variable_is_known_below_its_element_and_nowhere_else() -> None:
    declared = expression("variable", "1", name="x")
    inside = item("inside", "decimal", calculated("%x"))
    assert places(form(item("group", "group", declared, item=[inside]))) == []
    assert places(form(item("group", "group", declared), inside)) == ["Questionnaire.item[1].extension[0]"]


def test_launch_contexts_and_queries_may_be_used_to_fill_a_form_in() -> None:
    launch = {"url": f"{SDC}launchContext", "extension": [{"url": "name", "valueCoding": {"code": "patient"}}]}
    query = expression(
        "variable", "Observation?subject={{%patient.id}}", language="application/x-fhir-query", name="found"
    )
    initial = expression("initialExpression", "%patient.birthDate | %found.entry")
    assert places(form(item("a", "date", initial), extension=[launch, query])) == []


@pytest.mark.parametrize("name", data.shipped())
def test_every_form_that_ships_could_be_published(name: str) -> None:
    assert places(data.questionnaire(name), safety_items=True, crisis_contacts=1) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"title": "B"}, ["Questionnaire.title"]),
        ({"_title": {"extension": []}}, ["Questionnaire._title"]),
        ({"item": []}, ["Questionnaire.item"]),
        ({"language": "de"}, ["Questionnaire.language"]),
        ({"status": "draft"}, ["Questionnaire.status"]),
        ({"status": "unknown"}, ["Questionnaire.status"]),
        ({"status": "retired"}, []),
        ({"date": "2026-11-22"}, []),
        ({"meta": {"versionId": "2"}}, []),
    ],
)
def test_of_a_published_version_only_status_and_date_change(change: Resource, place: list[str]) -> None:
    before = form(item("a"), title="A", status="active")
    assert [finding.expression for finding in check_revision(before, {**before, **change})] == place


@pytest.mark.parametrize(
    ("versions", "last"),
    [
        (["1.9", "1.10"], "1.10"),
        (["2.0.0-draft", "2.0.0"], "2.0.0"),
        (["1.0.0", "1.0"], "1.0.0"),
        (["2025.12", "2026.1"], "2026.1"),
        (["a", "1"], "1"),
    ],
)
def test_the_newest_version_goes_by_its_numbers(versions: list[str], last: str) -> None:
    assert newest(versions) == newest(versions[::-1]) == last
