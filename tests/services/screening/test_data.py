"""The shipped instruments say what their sources say; the known traps of these instruments are held shut."""

from typing import Any

import pytest
from fhir.resources.R4B.questionnaire import Questionnaire
from stepwell_screening import data
from stepwell_screening.rules.definition import parse_definition
from stepwell_screening.rules.safety_policy import parse_policy
from stepwell_screening.rules.weights import ITEM_WEIGHT, ORDINAL_VALUE, option_weights
from stepwell_shared.canonical import CANONICAL, code_system

PHQ_9 = ["44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8"]
GAD_7 = ["69725-0", "68509-9", "69733-4", "69734-2", "69735-9", "69689-8", "69736-7"]
PHQ_15 = [
    *("69671-6", "69672-4", "69673-2", "69674-0", "69717-7", "69675-7", "69676-5", "69677-3"),
    *("69678-1", "69679-9", "69680-7", "69681-5", "69682-3", "69731-8", "69732-6"),
]
CODES = {"phq-9": PHQ_9, "gad-7": GAD_7, "phq-15": PHQ_15}


def item_with(instrument: str, code: str) -> dict[str, Any]:
    item: dict[str, Any] = next(item for item in data.questionnaire(instrument)["item"] if item["linkId"] == f"/{code}")
    return item


def test_an_instrument_that_is_not_shipped_is_refused() -> None:
    with pytest.raises(FileNotFoundError):
        data.questionnaire("phq-99")


@pytest.mark.parametrize("instrument", data.INSTRUMENTS)
class TestEveryInstrument:
    def test_is_a_questionnaire_that_the_typed_model_accepts(self, instrument: str) -> None:
        parsed = Questionnaire.model_validate(data.questionnaire(instrument))
        assert (parsed.url, parsed.version) == (f"{CANONICAL}/Questionnaire/{instrument}", "1.0.0")
        assert (parsed.status, parsed.language) == ("active", "en")
        assert "No permission required" in (parsed.copyright or "")

    def test_scores_its_loinc_items_in_their_order(self, instrument: str) -> None:
        definition = parse_definition(data.scoring(instrument))
        assert [link.removeprefix("/") for link in definition.item_link_ids] == CODES[instrument]
        for item in data.questionnaire(instrument)["item"]:
            if item["linkId"] in definition.item_link_ids:
                assert item["code"][0]["system"] == "http://loinc.org"
                assert item["linkId"] == f"/{item['code'][0]['code']}"

    def test_lets_items_stay_blank_so_that_the_rules_for_blanks_decide(self, instrument: str) -> None:
        assert not any(item.get("required") for item in data.questionnaire(instrument)["item"])

    def test_weighs_every_scored_option_with_both_extensions_from_zero_upward(self, instrument: str) -> None:
        for code in CODES[instrument]:
            for position, option in enumerate(item_with(instrument, code)["answerOption"]):
                weights = {extension["url"]: extension["valueDecimal"] for extension in option["extension"]}
                assert weights == {ITEM_WEIGHT: position, ORDINAL_VALUE: position}

    def test_ends_with_a_read_only_total_that_is_calculated(self, instrument: str) -> None:
        definition = parse_definition(data.scoring(instrument))
        total = data.questionnaire(instrument)["item"][-1]
        assert total["linkId"] == definition.scores[0].link_id
        assert (total["type"], total["readOnly"]) == ("decimal", True)
        assert total["code"][0] == definition.scores[0].code
        assert any(extension["url"].endswith("calculatedExpression") for extension in total["extension"])

    def test_uses_the_code_systems_of_the_product(self, instrument: str) -> None:
        definition = parse_definition(data.scoring(instrument))
        assert definition.band_system == code_system("band")
        assert all(band.code.startswith(f"{instrument}-") and band.source for band in definition.scores[0].bands)


def test_the_difficulty_item_has_its_codes_out_of_order_and_no_weights() -> None:
    difficulty = item_with("phq-9", "69722-7")
    codes = [option["valueCoding"]["code"] for option in difficulty["answerOption"]]
    displays = [option["valueCoding"]["display"].split()[0] for option in difficulty["answerOption"]]
    assert list(zip(codes, displays, strict=True)) == [
        ("LA6572-7", "Not"),
        ("LA6573-5", "Somewhat"),
        ("LA6575-0", "Very"),
        ("LA6574-3", "Extremely"),
    ]
    assert option_weights(difficulty) == {}
    assert "/69722-7" not in parse_definition(data.scoring("phq-9")).item_link_ids


@pytest.mark.parametrize("instrument", ["phq-9", "gad-7"])
def test_the_answer_list_is_ll358_3_and_its_zero_is_not_at_all(instrument: str) -> None:
    for code in CODES[instrument]:
        options = [option["valueCoding"] for option in item_with(instrument, code)["answerOption"]]
        assert [option["code"] for option in options] == ["LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9"]
        assert [option["display"] for option in options] == [
            "Not at all",
            "Several days",
            "More than half the days",
            "Nearly every day",
        ]


def test_gad_7_item_six_keeps_its_code_under_the_two_week_stem() -> None:
    items = data.questionnaire("gad-7")["item"]
    assert items[0]["text"].startswith("Over the last 2 weeks, how often have you been bothered")
    assert items[6]["code"][0]["code"] == "69689-8"
    assert "4 weeks" not in items[6]["text"]


def test_phq_9_and_phq_15_ask_tiredness_with_different_codes_and_scales() -> None:
    tired_9, tired_15 = item_with("phq-9", "44254-1"), item_with("phq-15", "69731-8")
    assert max(option_weights(tired_9).values()) == 3
    assert max(option_weights(tired_15).values()) == 2
    assert not option_weights(tired_9).keys() & option_weights(tired_15).keys()
    assert "4 weeks" in data.questionnaire("phq-15")["item"][0]["text"]


def test_phq_15_answers_come_from_the_local_code_system() -> None:
    systems = {system for system, _ in option_weights(item_with("phq-15", "69671-6"))}
    assert systems == {code_system("instrument-answer")}


def test_the_safety_policy_names_its_sources_and_marks_its_defaults() -> None:
    shipped = data.safety_policy()
    for entry in (*shipped["rules"].values(), *shipped["riskLevels"].values()):
        assert entry["source"]
        assert entry["productDefault"] is True
    policy = parse_policy(shipped)
    assert (policy.rule_system, policy.task_system) == (code_system("rule"), code_system("task"))
    assert policy.risk_level_system == code_system("risk-level")
