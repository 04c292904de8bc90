"""Promises of the assembly of modular forms: all parts or none, no linkId twice, the same url and version."""

from typing import Any

import orjson
import pytest
from stepwell_screening.rules.assembly import ITEMS_MAX, Assembled, assemble, references
from stepwell_shared.fhir import validation

from tests.services.screening.rules.sdc_forms import (
    Resource,
    expression,
    launch_context,
    question,
    questionnaire,
    said,
    variable,
)

BASE = "https://forms.example/Questionnaire"
NAME, CONTACT = f"{BASE}/name|1", f"{BASE}/contact|1"


def place(canonical: str, link_id: str = "d", *extensions: Resource, kind: str = "display") -> Resource:
    """The item that stands for a part."""
    return question(link_id, kind, said("subQuestionnaire", valueCanonical=canonical), *extensions)


def part(name: str, *items: Resource, extensions: tuple[Resource, ...] = (), **members: Any) -> Resource:
    return questionnaire(*items, extensions=extensions, **{"url": f"{BASE}/{name}", **members})


def group(link_id: str, canonical: str, prefix: str | None = None) -> Resource:
    """A group whose only item stands for a part."""
    extensions = (variable("linkIdPrefix", f"'{prefix}'"),) if prefix is not None else ()
    return question(link_id, "group", *extensions, item=[place(canonical, f"{link_id}-d")])


def made(form: Resource, **parts: Resource) -> Assembled:
    return assemble(form, {f"{BASE}/{name}|1": each for name, each in parts.items()})


def link_ids(element: Resource) -> list[str]:
    return [link for item in element.get("item", ()) for link in (item["linkId"], *link_ids(item))]


FAMILY = part(
    "name", question("1"), question("2", enableWhen=[{"question": "1", "operator": "exists", "answerBoolean": True}])
)


@pytest.mark.parametrize(
    ("form", "code", "path"),
    [
        (questionnaire(place(f"{BASE}/nobody|1")), "not-found", "Questionnaire.item[0]"),
        (questionnaire(place(NAME, kind="string")), "business-rule", "Questionnaire.item[0].type"),
        (questionnaire(place(f"{BASE}/self|1"), url=f"{BASE}/self"), "business-rule", "Questionnaire.item[0]"),
        (questionnaire(place(NAME, "a"), place(NAME, "b")), "duplicate", "Questionnaire.item"),
        (questionnaire(question("1"), place(NAME)), "duplicate", "Questionnaire.item"),
        (questionnaire(group("g", NAME, "' + answer + '")), "value", "Questionnaire.item[0]"),
    ],
    ids=["unknown", "no display", "itself", "the same part twice", "a linkId of the parent", "a prefix of answers"],
)
def test_what_cannot_be_assembled_in_full_is_refused_with_its_place(form: Resource, code: str, path: str) -> None:
    found = made(form, name=FAMILY, self=part("self"))
    assert (found.refused[0].code, found.refused[0].expression) == (code, path)


@pytest.mark.parametrize(
    ("members", "extensions", "code"),
    [
        ({"language": "de"}, (), "business-rule"),
        ({"implicitRules": "https://rules.example"}, (), "business-rule"),
        ({"modifierExtension": [{"url": "https://x.example", "valueCode": "x"}]}, (), "not-supported"),
        ({"meta": {"security": [{"code": "R"}]}}, (), "security"),
        ({}, (said("assembleContext", valueString="person"),), "business-rule"),
        ({}, (said("observationExtract", valueBoolean=True),), "business-rule"),
        ({}, (said("questionnaireAdaptive", valueBoolean=True),), "business-rule"),
        ({}, (said("entryMode", valueCode="random"),), "business-rule"),
    ],
)
def test_a_part_that_does_not_go_with_its_parent_is_refused(
    members: Resource, extensions: tuple[Resource, ...], code: str
) -> None:
    form = questionnaire(place(NAME), language="en")
    found = made(form, name=part("name", question("1"), extensions=extensions, **members))
    assert [each.code for each in found.refused] == [code]


def test_parts_that_lead_back_to_each_other_are_refused() -> None:
    found = made(
        questionnaire(place(NAME)), name=part("name", place(CONTACT)), contact=part("contact", place(NAME, "e"))
    )
    assert [each.code for each in found.refused] == ["business-rule"]


def test_parts_within_parts_do_not_grow_without_bound() -> None:
    def level(number: int) -> Resource:
        items = [group(f"g{index}", f"{BASE}/l{number + 1}|1", f"{number}.{index}.") for index in range(20)]
        return part(f"l{number}", *items)

    parts = {f"l{number}": level(number) for number in range(1, 8)}
    found = made(questionnaire(place(f"{BASE}/l1|1")), **parts)
    assert "too-costly" in {each.code for each in found.refused}
    assert len(link_ids(found.questionnaire)) <= ITEMS_MAX


def test_everything_that_stands_in_the_way_is_said_at_once() -> None:
    found = made(questionnaire(place(f"{BASE}/a|1", "a"), place(f"{BASE}/b|1", "b")))
    assert [each.expression for each in found.refused] == ["Questionnaire.item[0]", "Questionnaire.item[1]"]


def test_two_parts_under_prefixes_make_one_form_with_the_same_url_and_version() -> None:
    form = questionnaire(group("a", NAME, "a."), question("b"), group("c", NAME, "c."), id="kept-elsewhere")
    found = made(form, name=FAMILY)
    assert found.refused == []
    whole = found.questionnaire
    assert (whole["url"], whole["version"], "id" in whole) == (form["url"], form["version"], False)
    assert link_ids(whole) == ["a", "a.1", "a.2", "b", "c", "c.1", "c.2"]
    assert whole["item"][2]["item"][1]["enableWhen"][0]["question"] == "c.1"
    assert [each["valueCanonical"] for each in whole["extension"]] == [NAME]
    assert validation.validate(orjson.loads(orjson.dumps(whole)), "Questionnaire") == []


def test_prefixes_add_up_through_parts_of_parts() -> None:
    inner = question("1", "group", variable("linkIdPrefix", "%linkIdPrefix + 'name.'"), item=[place(NAME, "1.1")])
    needs = said("assembleContext", valueString="linkIdPrefix")
    found = made(
        questionnaire(group("g", CONTACT, "kin.")), name=FAMILY, contact=part("contact", inner, extensions=(needs,))
    )
    assert found.refused == []
    assert link_ids(found.questionnaire) == ["g", "kin.1", "kin.name.1", "kin.name.2"]
    assert references(questionnaire(group("g", CONTACT), place(NAME), place(NAME, "e"))) == [CONTACT, NAME]


def test_what_a_part_brings_goes_to_the_root_or_to_the_element_that_holds_its_items() -> None:
    brought = (
        launch_context("patient", "Patient"),
        variable("name", "%patient.name.first()"),
        said("shortText", valueString="not brought along"),
    )
    listed = {"resourceType": "ValueSet", "id": "vs", "status": "active"}
    item = question("1", "choice", expression("initialExpression", "%name.use"), answerValueSet="#vs")
    found = made(
        questionnaire(group("g", NAME, "p."), extensions=(launch_context("patient", "Patient"),)),
        name=part("name", item, extensions=brought, contained=[listed]),
    )
    assert found.refused == []
    whole = found.questionnaire
    assert [each["url"].rpartition("-")[2] for each in whole["extension"]] == ["launchContext", "assembledFrom"]
    held = whole["item"][0]
    assert [each["valueExpression"]["name"] for each in held["extension"]] == ["linkIdPrefix", "name"]
    assert (whole["contained"][0]["id"], held["item"][0]["answerValueSet"]) == ("p.vs", "#p.vs")


def test_two_variables_of_one_name_in_one_place_are_refused() -> None:
    found = made(
        questionnaire(place(NAME, "a"), extensions=(variable("x", "1"),)),
        name=part("name", question("1"), extensions=(variable("x", "2"),)),
    )
    assert [each.code for each in found.refused] == ["duplicate"]


@pytest.mark.parametrize(
    ("before", "after"),
    [("assemble-root", None), ("assemble-root-or-child", "independent-root-or-child")],
)
def test_an_assembled_form_expects_no_assembly(before: str, after: str | None) -> None:
    form = questionnaire(place(NAME), extensions=(said("assemble-expectation", valueCode=before),))
    whole = made(form, name=FAMILY).questionnaire
    codes = [each["valueCode"] for each in whole["extension"] if "valueCode" in each]
    assert codes == ([] if after is None else [after])


def test_a_part_without_a_version_and_expressions_that_ignore_a_prefix_are_warned_of() -> None:
    looking = part("name", question("1", "integer", expression("calculatedExpression", "item.where(linkId='2')")))
    found = assemble(questionnaire(group("g", f"{BASE}/name", "p.")), {f"{BASE}/name": looking})
    assert found.refused == []
    assert [each.code for each in found.warnings] == ["business-rule", "business-rule"]
