"""`_summary` and `_elements` (S17): what is refused, what each keeps, and that what is kept is kept exactly."""

from typing import Any

import orjson
import pytest
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.presentation import SUBSETTED, WHOLE, View, is_subsetted, view_of

TEXT = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
OBSERVATION = (
    b'{"resourceType":"Observation","id":"o1","meta":{"versionId":"1","tag":[{"code":"t"}]},"text":'
    + orjson.dumps(TEXT)
    + b',"extension":[{"url":"http://example.org/x","valueCode":"y"}],"status":"final",'
    b'"_status":{"id":"s"},"code":{"text":"x"},"method":{"text":"m"},"note":[{"text":"n"}],'
    b'"effectiveDateTime":"2026-11-21","valueQuantity":{"value":72.50},'
    b'"component":[{"code":{"text":"y"},"valueQuantity":{"value":1.000},"interpretation":[{"text":"i"}]}]}'
)


def names(view: View) -> set[str]:
    found: dict[str, Any] = orjson.loads(view.shown(OBSERVATION))
    assert found.pop("meta") == {"versionId": "1", "tag": [{"code": "t"}, SUBSETTED]}
    assert (found.pop("resourceType"), found.pop("id")) == ("Observation", "o1")
    return set(found)


@pytest.mark.parametrize(
    "query",
    [
        [("_summary", "maybe")],
        [("_summary", "true"), ("_summary", "text")],
        [("_summary", "true"), ("_elements", "code")],
        [("_elements", ",".join(f"e{number}" for number in range(101)))],
    ],
)
def test_s17_what_is_no_view_is_refused(query: list[tuple[str, str]]) -> None:
    with pytest.raises(FhirError) as caught:
        view_of(query)
    assert caught.value.status == 400


@pytest.mark.parametrize("query", [[], [("_summary", "false")], [("_summary", "")], [("_elements", "")], [("x", "y")]])
def test_s17_without_a_wish_the_stored_bytes_are_sent(query: list[tuple[str, str]]) -> None:
    view = view_of(query)
    assert view.is_whole
    assert view.shown(OBSERVATION) is OBSERVATION


def test_s17_a_summary_has_the_elements_that_r4_marks_and_the_mandatory_ones() -> None:
    assert names(View("true")) == {
        "status",
        "_status",
        "code",
        "effectiveDateTime",
        "valueQuantity",
        "component",
    }


def test_s17_a_summary_reaches_into_elements() -> None:
    questionnaire = {
        "resourceType": "Questionnaire",
        "id": "q",
        "status": "active",
        "contact": [{"name": "n", "telecom": [{"system": "phone", "value": "1"}]}],
        "item": [{"linkId": "1", "type": "string"}],
    }
    found = orjson.loads(View("true").shown(orjson.dumps(questionnaire)))
    assert found["contact"] == questionnaire["contact"]
    assert "item" not in found
    patient = {
        "resourceType": "Patient",
        "id": "p",
        "photo": [{"title": "t", "data": "aGk="}],
        "link": [{"other": {"reference": "Patient/q"}, "type": "seealso"}],
        "communication": [{"language": {"text": "x"}}],
        "_birthDate": {"extension": [{"url": "http://example.org/unknown", "valueBoolean": True}]},
    }
    found = orjson.loads(View("true").shown(orjson.dumps(patient)))
    assert set(found) == {"resourceType", "id", "meta", "link", "_birthDate"}
    observation = orjson.loads(View("true").shown(OBSERVATION))
    assert set(observation["component"][0]) == {"code", "valueQuantity"}


def test_s17_the_text_view_has_narrative_and_mandatory_elements() -> None:
    assert names(View("text")) == {"text", "status", "_status", "code"}


def test_s17_the_data_view_has_everything_but_the_narrative() -> None:
    every = set(orjson.loads(OBSERVATION)) - {"resourceType", "id", "meta", "text"}
    assert names(View("data")) == every


def test_s17_elements_are_chosen_by_name_and_mandatory_and_modifying_ones_stay() -> None:
    assert names(view_of([("_elements", "value, note")])) == {"valueQuantity", "note", "status", "_status", "code"}
    assert names(view_of([("_elements", "value"), ("_elements", "nonsense")])) == {
        "valueQuantity",
        "status",
        "_status",
        "code",
    }


def test_s17_g12_what_is_kept_keeps_its_precision() -> None:
    for view in (View("true"), View("data"), View(elements=frozenset({"value", "component"}))):
        shown = view.shown(OBSERVATION)
        assert b'"value":72.50}' in shown
        assert b'"value":1.000}' in shown


@pytest.mark.parametrize("view", [View("true"), View("text"), View("data"), View(elements=frozenset({"note"}))])
def test_s17_a_part_says_that_it_is_one_and_is_still_valid(view: View) -> None:
    resource = validation.check(view.shown(OBSERVATION), "Observation")
    assert is_subsetted(resource)
    assert view.shown(view.shown(OBSERVATION)) == view.shown(OBSERVATION)
    assert not is_subsetted(orjson.loads(OBSERVATION))
    assert not is_subsetted({})


def test_the_whole_view_is_what_nobody_asked_to_change() -> None:
    assert View() == WHOLE
    assert not WHOLE.is_count
    assert View("count").is_count
