"""What the answers of our own forms become: the diary and the rulers Observations, goals proposed Goals."""

from typing import Any

from tests.services.screening.data.shipped import FORMS, INSTRUMENT, ITEM
from tests.services.screening.rules.sdc_forms import extracted, given, resources, response

Resource = dict[str, Any]


def values(found: list[Resource]) -> dict[tuple[str, str], tuple[float, str]]:
    """Number and unit of each Observation, by its code."""
    return {
        (coding["system"], coding["code"]): (each["valueQuantity"]["value"], each["valueQuantity"]["code"])
        for each in found
        for coding in each["code"]["coding"]
    }


def test_what_is_left_blank_in_the_diary_becomes_nothing() -> None:
    assert extracted(FORMS["tracker"], response(given("/tracker-mood"))).entries == []


def test_each_entry_of_the_diary_becomes_an_observation_with_its_unit() -> None:
    answers = [
        given("/tracker-symptoms", {"valueInteger": 7}),
        given("/tracker-mood", {"valueInteger": 3}),
        given("/tracker-stress", {"valueInteger": 5}),
        given("/tracker-sleep-hours", {"valueDecimal": 6.5}),
        given("/tracker-sleep-quality", {"valueInteger": 4}),
        given("/tracker-activity", {"valueInteger": 30}),
    ]
    made = extracted(FORMS["tracker"], response(*answers))
    assert made.findings == []
    assert values(resources(made)) == {
        (ITEM, "tracker-symptoms"): (7, "{score}"),
        (ITEM, "tracker-mood"): (3, "{score}"),
        (ITEM, "tracker-stress"): (5, "{score}"),
        (ITEM, "tracker-sleep-hours"): (6.5, "h"),
        (ITEM, "tracker-sleep-quality"): (4, "{score}"),
        (ITEM, "tracker-activity"): (30, "min"),
    }


def test_a_ruler_becomes_an_observation_under_the_code_of_its_score() -> None:
    made = extracted(FORMS["readiness-rulers"], response(given("/readiness", {"valueInteger": 8})))
    assert values(resources(made)) == {(INSTRUMENT, "readiness"): (8, "{score}")}


def test_each_goal_becomes_a_proposed_goal_in_the_persons_own_words() -> None:
    first = [
        given("/goal-words", {"valueString": "Walk to the lake"}),
        given("/goal-meaning", {"valueString": "With my dog"}),
        given("/goal-attainment", {"valueInteger": 3}),
    ]
    second = [given("/goal-words", {"valueString": "Sing again"})]
    made = extracted(FORMS["goals"], response(given("/goal", items=tuple(first)), given("/goal", items=tuple(second))))
    assert made.findings == []
    goals = [each for each in resources(made) if each["resourceType"] == "Goal"]
    assert [each["description"]["text"] for each in goals] == ["Walk to the lake", "Sing again"]
    assert [each["lifecycleStatus"] for each in goals] == ["proposed", "proposed"]
    assert [each.get("note") for each in goals] == [[{"text": "With my dog"}], None]
    assert values([each for each in resources(made) if each["resourceType"] == "Observation"]) == {
        (ITEM, "goal-attainment"): (3, "{score}")
    }
