"""Promises of a person's trajectory as data and picture: behind a token, one person's own, readable without colour."""

from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest
import structlog
from stepwell_measurement.app import service
from stepwell_measurement.data import trajectory_parameters, words
from stepwell_measurement.pages import trajectory_pages
from stepwell_measurement.rules.trajectory import Standing
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.canonical import topic
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.runtime import Runtime

from tests.services.measurement.scoring import NORTH, SOUTH, finalized, hear, score_id
from tests.services.measurement.test_trajectories import own_score
from tests.support.runtime import URLS, http_of, received, token

SVG = "{http://www.w3.org/2000/svg}"
CLINICIAN = Caller(NORTH, "north.ehr", ROLES["clinician"], "t1")
PATIENT = Caller(NORTH, "north.app", ROLES["patient"], "t2", patient="p1")


async def asked(
    runtime: Runtime, access: Caller | None, path: str = "p1", query: str = "", method: str = "GET", accept: str = ""
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer."""
    sent: list[dict[str, Any]] = []

    async def authenticate(header: str | None) -> Any:
        if access is None:
            raise FhirError(Category.UNAUTHENTICATED, "no token")
        return access

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    below, answer = trajectory_pages(runtime, authenticate)
    headers = [(b"accept", accept.encode())] if accept else []
    scope = {"method": method, "path": below + path, "headers": headers, "query_string": query.encode()}
    await answer(Exchange(scope, receive, send))
    start, body = sent
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]


async def report(runtime: Runtime, access: Caller = CLINICIAN, query: str = "") -> dict[str, Any]:
    status, _, body = await asked(runtime, access, query=query)
    assert status == 200, body
    found: dict[str, Any] = orjson.loads(body)
    return found


async def recorded(runtime: Runtime) -> list[tuple[str, str, str]]:
    async with runtime.database.transaction(NORTH) as connection:
        rows = await connection.fetch("SELECT interaction, resource_type, resource_id FROM audit")
    return [tuple(row) for row in rows if row["interaction"] == "$trajectory"]


async def filled(runtime: Runtime) -> None:
    """Mood gets better and everyday life too; one answer is missing in between."""
    await hear(
        runtime,
        finalized("r1", 20),
        finalized("r2", 12, week=3, blank_items=1),
        finalized("r3", 8, week=6),
        finalized("g1", 15, instrument="gad-7"),
    )
    async with http_of(runtime, service) as http:
        for value, day in ((28, "2026-09-01"), (14, "2026-10-20")):
            body = own_score(value, day)
            assert (await http.post("Observation", json=body, headers=token(NORTH, "ehr"))).status_code == 201


async def test_who_may_not_see_a_person_sees_nothing_of_their_way(runtime: Runtime) -> None:
    await filled(runtime)
    analyst = Caller(NORTH, "north.figures", ROLES["analyst"], "t3")
    elsewhere = Caller(SOUTH, "south.ehr", ROLES["clinician"], "t4")
    somebody = Caller(NORTH, "north.app", ROLES["patient"], "t5", patient="p2")
    narrowed = Caller(NORTH, "north.labs", Scopes.parse("system/Observation.rs?category=laboratory"), "t6")
    with structlog.testing.capture_logs() as logged:
        expected = ((None, 401), (analyst, 403), (elsewhere, 404), (somebody, 404), (narrowed, 403))
        for access, status in expected:
            found, _, body = await asked(runtime, access)
            assert found == status, (access, body)
            assert orjson.loads(body)["resourceType"] == "OperationOutcome"
    assert "p1" not in str(logged)
    assert await recorded(runtime) == []


@pytest.mark.parametrize(
    ("path", "query", "method", "status"),
    [("", "", "GET", 404), ("p1/x", "", "GET", 404), ("p\x001", "", "GET", 404),
     ("p1", "", "POST", 405), ("p1", "_format=pdf", "GET", 406),
     ("p1", "language=xx", "GET", 406), ("nobody", "", "GET", 404)],
)  # fmt: skip
async def test_what_is_not_there_is_refused(runtime: Runtime, path: str, query: str, method: str, status: int) -> None:
    assert (await asked(runtime, CLINICIAN, path, query, method))[0] == status


async def test_the_data_say_what_was_measured_what_follows_and_by_which_numbers(runtime: Runtime) -> None:
    await filled(runtime)
    found = await report(runtime)
    assert (found["patient"], found["function"], found["symptoms"]) == ("Patient/p1", "better", "better")
    mood, worry, life = found["trajectories"]
    assert [each["instrument"] for each in (mood, worry, life)] == ["phq-9", "gad-7", "wsas"]
    assert [(score["value"], score["counted"]) for score in mood["scores"]][::2] == [(20, True), (8, True)]
    assert mood["scores"][1]["counted"] is False
    assert mood["trajectory"]["last"]["observation"] == f"Observation/{score_id('r3')}"
    change = mood["trajectory"]["reliableChange"]
    assert (change["outcome"], change["threshold"], change["thresholdIncluded"]) == ("improvement", 6, True)
    assert "PMC8411661" in change["source"]
    assert mood["trajectory"]["standing"] == "recovery"
    assert worry["trajectory"]["standing"] == "first-score"
    assert await recorded(runtime) == [("$trajectory", "Patient", "p1")]


async def test_a_person_reads_their_own_and_a_narrowed_token_only_what_it_reaches(runtime: Runtime) -> None:
    await filled(runtime)
    assert len((await report(runtime, PATIENT))["trajectories"]) == 3
    mood_alone = Scopes.parse("system/Observation.rs?code=http://loinc.org|44261-6")
    (only,) = (await report(runtime, Caller(NORTH, "north.mood", mood_alone, "t7")))["trajectories"]
    assert only["instrument"] == "phq-9"


@pytest.mark.parametrize("language", words.languages())
async def test_the_picture_reads_without_colour_and_aloud(runtime: Runtime, language: str) -> None:
    await filled(runtime)
    status, headers, body = await asked(runtime, PATIENT, query=f"language={language}", accept="image/svg+xml")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "image/svg+xml")
    assert (headers["cache-control"], headers["content-language"]) == ("no-store", language)
    picture = ElementTree.fromstring(body)
    assert picture.get("role") == "img"
    named = {each.get("id"): each.text or "" for each in picture if each.get("id")}
    assert picture.get("aria-labelledby", "").split() == list(named) == ["title", "description"]
    said = words.standing("recovery", language)
    assert said in named["description"]
    for value, day in ((20, "2026-09-01"), (8, "2026-10-13"), (14, "2026-10-20")):
        date = words.date(datetime.fromisoformat(f"{day}T08:00:00+00:00"), language)
        assert words.phrase("on", language, value=value, date=date) in named["description"]
    texts = [each.text or "" for each in picture.iter(f"{SVG}text")]
    assert {"20", "8", "28", "14", "15"} <= set(texts)
    assert said.split()[0] in " ".join(texts)
    fills = {each.get("fill") for each in picture.iter() if each.get("fill")}
    assert len(fills - {"none"}) <= 3  # ink, a lighter ink, paper: nothing is told by a hue
    assert len([each for each in picture.iter(f"{SVG}circle") if each.get("fill") == "#ffffff"]) == 2


async def test_without_any_result_the_picture_says_so(runtime: Runtime) -> None:
    handler = service.listens(runtime)["screening", "patient-changed"]
    patient = {"resourceType": "Patient", "id": "p9", "meta": {"versionId": "1"}}
    await handler(received(topic("patient-changed"), [(f"{URLS['screening']}/Patient/p9", patient)]), NORTH)
    status, _, body = await asked(runtime, CLINICIAN, "p9", "_format=svg")
    assert status == 200
    assert words.phrase("none", "en").encode() in body


def test_there_are_plain_words_for_everything_in_every_language() -> None:
    hard = ("failed", "refractory", "harmed", "non-compliant", "versagt", "fracas", "échec")
    for language in words.languages():
        said = [words.standing(each, language) for each in Standing]
        said += [words.domain(each.domain, language) for each in trajectory_parameters().values()]
        assert len(set(said)) >= len(Standing) + 8
        assert not [word for word in hard if word in " ".join(said).lower()]
