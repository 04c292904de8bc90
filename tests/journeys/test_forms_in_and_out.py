"""A form goes through SDC's operations of the running suite: assembled, filled in, handed in, extracted."""

from datetime import UTC, datetime
from typing import Any

from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import load_private_keys, make_private_key, public_key_set
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.access import add_client

from tests.services.screening.rules.sdc_forms import (
    expression,
    given,
    launch_context,
    question,
    questionnaire,
    response,
    said,
    variable,
)
from tests.support.suite import Suite

Resource = dict[str, Any]


async def employ(suite: Suite) -> None:
    """A client of north that keeps what is extracted from diaries."""
    settings = suite.deployment.access()
    key_file = settings.key_file("north.diaries")
    keys = load_private_keys(key_file) if key_file.exists() else (make_private_key(key_file),)
    scopes = Scopes.parse("system/Observation.cr system/Patient.rs")
    await add_client(settings, Client("north.diaries", scopes, jwks=public_key_set(keys)), replace=True)


def stands_for(name: str) -> Resource:
    """A group whose items are those of a form of the library."""
    part = said("subQuestionnaire", valueCanonical=f"{CANONICAL}/Questionnaire/{name}|1.0.0")
    return question(
        name, "group", variable("linkIdPrefix", f"'{name}.'"), item=[question(f"{name}-part", "display", part)]
    )


async def test_two_parts_are_assembled_and_the_whole_is_filled_in_for_its_person(suite: Suite) -> None:
    whose = question("whose", "string", expression("initialExpression", "%patient.name.first().family"))
    modular = questionnaire(
        whose,
        stands_for("phq-2"),
        stands_for("gad-2"),
        extensions=(launch_context("patient", "Patient"),),
        language="en",
    )
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        answer = await clinic.call("POST", "screening", "Questionnaire/$assemble", resource=modular)
        assert answer.status_code == 200, answer.text
        whole = answer.json()["parameter"][0]["resource"]
        assert [len(item.get("item", ())) > 1 for item in whole["item"]] == [False, True, True]
        asked = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "questionnaire", "resource": whole},
                {"name": "subject", "valueReference": {"reference": f"Patient/{patient['id']}"}},
                {"name": "local", "valueBoolean": True},
            ],
        }
        answer = await clinic.call("POST", "screening", "Questionnaire/$populate", resource=asked)
        assert answer.status_code == 200, answer.text
        started = answer.json()["parameter"][0]["resource"]
        assert started["item"][0]["answer"] == [{"valueString": "Example"}]
        assert (started["status"], started["questionnaire"]) == (
            "in-progress",
            f"{modular['url']}|{modular['version']}",
        )


async def test_a_diary_that_is_handed_in_becomes_observations_of_its_person_in_measurement(suite: Suite) -> None:
    await employ(suite)
    async with suite.clinic() as clinic, suite.clinic(name="diaries") as keeper:
        patient = await clinic.patient()
        diary = response(
            given("/tracker-mood", {"valueInteger": 6}),
            given("/tracker-sleep-hours", {"valueDecimal": 6.5}),
            questionnaire=f"{CANONICAL}/Questionnaire/tracker|1.0.0",
            subject={"reference": f"Patient/{patient['id']}"},
            authored=datetime.now(UTC).isoformat(timespec="seconds"),
            author=None,
            id=None,
        )
        answer = await clinic.call("POST", "screening", "Questionnaire/$process-response", resource=diary)
        assert answer.status_code == 200, answer.text
        kept = answer.headers["location"].partition("/_history/")[0]
        answer = await clinic.call("GET", "screening", f"{kept}/$extract")
        assert answer.status_code == 200, answer.text
        (made,) = answer.json()["parameter"]
        await keeper.wait_for("measurement", "Patient", _id=patient["id"])
        answer = await keeper.call("POST", "measurement", "", resource=made["resource"])
        assert answer.status_code == 200, answer.text
        found = await clinic.search("measurement", "Observation", subject=f"Patient/{patient['id']}")
        assert sorted(each["valueQuantity"]["value"] for each in found) == [6, 6.5]
        assert {each["derivedFrom"][0]["reference"] for each in found} == {kept}
