"""Known traps of these instruments, held shut: codes out of order or of another instrument, stated totals, scales.

Codes and lists as on loinc.org and in forms that HL7, LOINC and others publish.
"""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from stepwell_screening import data
from stepwell_screening.rules.scoring import compile_scoring
from stepwell_screening.rules.weights import questionnaire_items

from tests.services.screening.rules.filling import DEFINITIONS, FOLDER, FORMS, NAMES, SCORINGS, SHIPPED, filled

MORE_DAYS_THAN_NOT = {"system": "http://loinc.org", "code": "LA18938-3"}


def links(name: str, position: int = 0) -> tuple[str, ...]:
    return DEFINITIONS[name].scores[position].item_link_ids


def codes_of_scores() -> dict[str, set[tuple[str, str]]]:
    """Which score of which instrument has a code."""
    found: dict[str, set[tuple[str, str]]] = {}
    for name in NAMES:
        for score in DEFINITIONS[name].scores:
            found.setdefault(score.code["code"], set()).add((name, score.id))
    return found


@pytest.mark.parametrize("name", ["phq-9", "phq-sads"])
def test_trap_1_the_difficulty_item_counts_in_no_score_whatever_the_order_of_its_codes(name: str) -> None:
    answers = dict.fromkeys(DEFINITIONS[name].item_link_ids, 1)
    hard = filled(name, answers | {"/69722-7": "LA6574-3"})
    assert [each.value for each in SCORINGS[name](hard)] == [
        each.value for each in SCORINGS[name](filled(name, answers))
    ]
    assert "/69722-7" not in DEFINITIONS[name].item_link_ids


def test_trap_2_audit_c_asks_for_frequency_and_not_for_binge_days() -> None:
    assert links("audit-c") == ("/68518-0", "/68519-8", "/68520-6")
    assert DEFINITIONS["audit-c"].scores[0].code["code"] == "75626-2"
    other = orjson.loads(orjson.dumps(FORMS["audit-c"]).replace(b"68518-0", b"68517-2"))
    with pytest.raises(ValueError, match="68518-0 is not in"):
        compile_scoring(other, DEFINITIONS["audit-c"])


@pytest.mark.parametrize("name", [name for name in NAMES if name in SHIPPED and DEFINITIONS[name].scores[:1]])
def test_trap_3_a_stated_total_is_recomputed_and_one_that_differs_is_refused(name: str) -> None:
    answers = {link: high for score in DEFINITIONS[name].scores for link, (_, high) in score.item_ranges.items()}
    response = filled(name, answers | {"/pc-ptsd-5-exposure": "LA33-6"})
    results = SCORINGS[name](response)
    assert SCORINGS[name].check(response, results) == []
    for result in results:
        if result.score.link_id is None:
            continue  # a ruler's answer is its score
        right = {"valueCoding": {"code": result.value}} if result.score.categories else {"valueDecimal": result.value}
        wrong = {"valueCoding": {"code": "other"}} if result.score.categories else {"valueDecimal": 1}
        assert SCORINGS[name].check(_stating(response, result.score.link_id, right), results) == []
        (finding,) = SCORINGS[name].check(_stating(response, result.score.link_id, wrong), results)
        assert finding.code == "business-rule"
        assert finding.expression == f"QuestionnaireResponse.item[{len(response['item'])}].answer[0].value"


@pytest.mark.parametrize("name", ["gad-7", "gad-2", "phq-4", "phq-sads"])
def test_trap_4_more_days_than_not_counts_two_in_every_form_with_that_item(name: str) -> None:
    response = filled(name, dict.fromkeys(DEFINITIONS[name].item_link_ids, 0))
    text = orjson.dumps(response)
    item = next(item for item in _answered(response["item"]) if item["linkId"] == "/68509-9")
    item["answer"] = [{"valueCoding": MORE_DAYS_THAN_NOT}]
    assert orjson.dumps(response) != text
    anxiety = [result.value for result in SCORINGS[name](response) if "/68509-9" in result.score.item_link_ids]
    assert set(anxiety) == {2}


def test_trap_7_a_form_without_weights_is_refused_and_peg_counts_its_numbers() -> None:
    form = data.questionnaire("phq-9")
    for item in form["item"]:
        for option in item.get("answerOption", ()):
            option.pop("extension", None)
    with pytest.raises(ValueError, match="has no weight"):
        compile_scoring(form, DEFINITIONS["phq-9"])
    asked = [item for item in FORMS["peg"]["item"] if item["linkId"] in links("peg")]
    assert {item["type"] for item in asked} == {"integer"}
    (result,) = SCORINGS["peg"](filled("peg", dict.fromkeys(links("peg"), 2)))
    assert result.value == 2, "no option that reads '2 or more'"


@pytest.mark.parametrize("beyond", [-1, 11])
def test_trap_7_a_rating_beyond_its_scale_is_refused_even_where_the_mean_is_within(beyond: int) -> None:
    response = filled("peg", dict(zip(links("peg"), (5, 5, beyond), strict=True)))
    (finding,) = SCORINGS["peg"].check(response, SCORINGS["peg"](response))
    assert finding.expression == "QuestionnaireResponse.item[2].answer[0].value"


def test_trap_8_tiredness_counts_in_each_scale_of_phq_sads_by_its_own_item() -> None:
    blank = dict.fromkeys(DEFINITIONS["phq-sads"].item_link_ids, 0)
    tired_9 = {each.score.id: each.value for each in SCORINGS["phq-sads"](filled("phq-sads", blank | {"/44254-1": 3}))}
    tired_15 = {each.score.id: each.value for each in SCORINGS["phq-sads"](filled("phq-sads", blank | {"/69731-8": 2}))}
    assert tired_9 == {"phq-15": 0, "gad-7": 0, "phq-9": 3}
    assert tired_15 == {"phq-15": 2, "gad-7": 0, "phq-9": 0}
    assert "70271-2" not in codes_of_scores(), "no total over three scales"


def test_trap_9_a_total_never_goes_out_under_the_code_of_another_instrument() -> None:
    codes = codes_of_scores()
    assert codes["70272-0"] == {("phq-4", "total")}
    assert codes["gad-2"] == {("gad-2", "total"), ("phq-4", "gad-2")}
    assert codes["44261-6"] == {("phq-9", "total"), ("phq-sads", "phq-9")}
    assert not codes.keys() & {"71969-0", "71970-8", "71971-6", "71972-4"}, "raw or T is not settled"
    assert not codes.keys() & {"76504-0", "102010-6", "94027-0", "94028-8", "94020-5"}


def test_trap_10_housing_is_scored_nowhere_as_its_answers_differ_between_forms() -> None:
    for name in ("prapare", "ahc-hrsn"):
        assert "/71802-3" in {item["linkId"] for item in questionnaire_items(FORMS[name])}
        assert "/71802-3" not in DEFINITIONS[name].item_link_ids


def test_trap_12_the_cut_offs_of_ssd_12_name_their_setting_and_band_nothing() -> None:
    total = DEFINITIONS["ssd-12"].scores[0]
    assert total.bands == ()
    assert {each.at_least: each.purpose.split(",")[0] for each in total.cut_offs} == {
        23: "specialist setting",
        13: "primary care",
    }
    assert [each.met(15) for each in total.cut_offs] == [False, True]


def test_a_form_numbered_one_to_five_is_not_whodas_numbered_zero_to_four() -> None:
    form = FORMS["whodas-12"]
    raised = {**form, "item": [_raised(item) for item in form["item"]]}
    with pytest.raises(ValueError, match="weigh 1 to 5"):
        compile_scoring(raised, DEFINITIONS["whodas-12"])


def test_the_two_scales_of_wsas_never_share_a_code() -> None:
    total, without_work = DEFINITIONS["wsas"].scores
    assert (total.upper, without_work.upper) == (40, 32)
    assert total.code != without_work.code


def test_sleep_disturbance_takes_the_direction_of_each_item_from_the_form() -> None:
    form = {**FORMS["promis-sleep-disturbance-4a"]}
    first, *others = form["item"]
    turned = {**first, "answerOption": _turned(first["answerOption"])}
    scoring = compile_scoring({**form, "item": [turned, *others]}, DEFINITIONS["promis-sleep-disturbance-4a"])
    response = filled(
        "promis-sleep-disturbance-4a", dict(zip(links("promis-sleep-disturbance-4a"), (1, 2, 2, 2), strict=True))
    )
    assert [result.value for result in scoring(response)] == [11, Decimal("52.4")]


@pytest.mark.parametrize("name", NAMES)
def test_every_number_names_its_source(name: str) -> None:
    shipped = data.scoring(name)
    assert shipped["sources"]
    for score in shipped["scores"]:
        alternatives = [band for each in score.get("alternativeBands", ()) for band in each["bands"]]
        named = [score, score["missing"], *score.get("bands", ()), *alternatives]
        named += [row for kind in ("cutOffs", "categories", "remarks") for row in score.get(kind, ())]
        assert all(row["source"] for row in named)
        by_default = [row for row in named if "Product default" in row["source"]]
        assert all(row.get("productDefault") is True for row in by_default), score["id"]


def test_every_definition_is_of_a_form_or_a_structure_that_ships() -> None:
    structures = {path.name.removesuffix(".json") for path in FOLDER.joinpath("skeletons").iterdir()}
    assert set(NAMES) <= {*SHIPPED, *structures}
    assert structures <= set(NAMES)


def _stating(response: dict[str, Any], link_id: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The response with a score of its own beside its answers."""
    return {**response, "item": [*response["item"], {"linkId": link_id, "answer": [answer]}]}


def _answered(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for item in items for found in (_answered(item["item"]) if "item" in item else [item])]


def _raised(item: dict[str, Any]) -> dict[str, Any]:
    options = orjson.loads(orjson.dumps(item["answerOption"]))
    for option in options:
        for extension in option["extension"]:
            extension["valueDecimal"] += 1
    return {**item, "answerOption": options}


def _turned(options: list[dict[str, Any]]) -> list[dict[str, Any]]:
    weights = [option["extension"] for option in reversed(options)]
    return [{**option, "extension": weight} for option, weight in zip(options, weights, strict=True)]
