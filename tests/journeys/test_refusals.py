"""Whatever a client sends gets a clear 4xx with a path to the fault, and the service goes on."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.support.suite import Clinic, Resource, Suite

PHQ_9_OF_16 = (2, 2, 2, 2, 2, 2, 2, 2, 0)
RESPONSE = "QuestionnaireResponse"


def with_unknown_link_id(form: Resource) -> Resource:
    form["item"][3]["linkId"] = "/no-such-question"
    return form


def with_a_foreign_answer(form: Resource) -> Resource:
    form["item"][2]["answer"][0]["valueCoding"]["code"] = "LA33-6"
    return form


def with_a_wrong_total(form: Resource) -> Resource:
    form["item"].append({"linkId": "/44261-6", "answer": [{"valueDecimal": 13}]})
    return form


def with_an_unknown_version(form: Resource) -> Resource:
    return {**form, "questionnaire": form["questionnaire"].rpartition("|")[0] + "|9.9.9"}


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        (with_unknown_link_id, "QuestionnaireResponse.item[3]"),
        (with_a_foreign_answer, "QuestionnaireResponse.item[2].answer[0]"),
        (with_a_wrong_total, "QuestionnaireResponse.item[9].answer[0]"),
        (with_an_unknown_version, "QuestionnaireResponse.questionnaire"),
    ],
)
async def test_what_does_not_fit_the_questionnaire_is_a_422_with_its_place(
    suite: Suite, change: Callable[[Resource], Resource], expression: str
) -> None:
    async with suite.clinic() as clinic:
        form = await clinic.form("phq-9", PHQ_9_OF_16, await clinic.patient())
        refused = await clinic.submit(change(form))
        assert refused.status_code == 422
        outcome = refused.json()
        assert outcome["resourceType"] == "OperationOutcome"
        assert any(path.startswith(expression) for issue in outcome["issue"] for path in issue["expression"])
        await _still_serves(clinic)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"resourceType":"QuestionnaireResponse","status":', 400),
        (b'{"resourceType":"QuestionnaireResponse","status":"completed","note":"' + b"x" * 10_000_000 + b'"}', 413),
        (
            b'{"resourceType":"QuestionnaireResponse","item":' + b'[{"item":' * 10_000 + b"[]" + b"}]" * 10_000 + b"}",
            400,
        ),
        (b"", 400),
        (b"[]", 400),
        (b'{"resourceType":"Observation"}', 400),
        (b"\xff\xfe", 400),
    ],
    ids=["broken", "10-megabytes", "10000-deep", "empty", "an-array", "another-type", "not-utf-8"],
)
async def test_a_body_that_is_no_resource_is_refused_and_the_service_goes_on(
    suite: Suite, body: bytes, status: int
) -> None:
    async with suite.clinic() as clinic:
        refused = await clinic.call("POST", "screening", RESPONSE, resource=body)
        assert refused.status_code == status
        assert refused.json()["resourceType"] == "OperationOutcome"
        await _still_serves(clinic)


async def test_every_finding_comes_at_once(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        form = await clinic.form("phq-9", PHQ_9_OF_16, await clinic.patient())
        refused = await clinic.submit(with_a_wrong_total(with_a_foreign_answer(form)))
        expressions = [path for issue in refused.json()["issue"] for path in issue["expression"]]
        assert any(path.startswith("QuestionnaireResponse.item[2]") for path in expressions)
        assert any(path.startswith("QuestionnaireResponse.item[9]") for path in expressions)


async def test_nothing_of_the_answers_is_quoted_back(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        form: dict[str, Any] = await clinic.form("phq-9", PHQ_9_OF_16, await clinic.patient())
        form["item"][0]["answer"][0]["valueCoding"]["display"] = "a very private answer"
        form["item"][0]["answer"][0]["valueCoding"]["code"] = "private-code"
        refused = await clinic.submit(form)
        assert refused.status_code == 422
        assert b"private" not in refused.content


async def _still_serves(clinic: Clinic) -> None:
    assert orjson.loads((await clinic.call("GET", "screening", "Questionnaire")).content)["type"] == "searchset"
