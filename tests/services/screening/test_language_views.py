"""Questionnaires in the reader's language: by Accept-Language in reads and searches, never in what is stored."""

import copy
import json

import httpx
import pytest
from stepwell_screening import data
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.languages import TRANSLATION
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import EHR, Resource
from tests.support.runtime import NORTH

ADDRESS = "Questionnaire/in-two"


def in_two_languages() -> Resource:
    """The shipped GAD-7 with words in German beside each text; only that they differ matters here."""
    found: Resource = copy.deepcopy(data.questionnaire("gad-7"))
    for number, item in enumerate(found["item"]):
        parts = [{"url": "lang", "valueCode": "de"}, {"url": "content", "valueString": f"Frage {number}"}]
        item["_text"] = {"extension": [{"url": TRANSLATION, "extension": parts}]}
    return {**found, "id": "in-two", "version": "1.0.0-two"}


@pytest.fixture
async def stored_bytes(runtime: Runtime, http: httpx.AsyncClient) -> bytes:
    """What is stored, which must be answered to whoever asks for no language."""
    change = built(runtime.engine, in_two_languages(), runtime.clock())
    await runtime.store.commit(UnitOfWork(NORTH, [change]))
    assert change.stored.body is not None
    return change.stored.body


@pytest.mark.parametrize("header", [None, "*", "en", "xx", "de;q=0"])
async def test_the_stored_bytes_are_served_when_no_other_language_is_wanted(
    http: httpx.AsyncClient, stored_bytes: bytes, header: str | None
) -> None:
    headers = EHR if header is None else {**EHR, "Accept-Language": header}
    http.headers.pop("accept-language", None)
    answer = await http.get(ADDRESS, headers=headers)
    assert answer.content == stored_bytes
    assert answer.headers["vary"] == "Accept-Language"


async def test_a_read_gives_the_view_and_its_language(http: httpx.AsyncClient, stored_bytes: bytes) -> None:
    answer = await http.get(ADDRESS, headers={**EHR, "Accept-Language": "fr, de-CH;q=0.9, en;q=0.1"})
    view, original = answer.json(), json.loads(stored_bytes)
    assert (answer.headers["content-language"], view["language"]) == ("de", "de")
    assert view["item"][0]["text"] == "Frage 0"
    assert [item["linkId"] for item in view["item"]] == [item["linkId"] for item in original["item"]]
    assert [item.get("code") for item in view["item"]] == [item.get("code") for item in original["item"]]
    assert (await http.get(ADDRESS, headers=EHR)).content == stored_bytes


async def test_a_client_that_has_the_original_is_not_told_that_the_view_is_the_same(
    http: httpx.AsyncClient, stored_bytes: bytes
) -> None:
    tag = {"If-None-Match": 'W/"1"'}
    assert (await http.get(ADDRESS, headers={**EHR, **tag})).status_code == 304
    assert (await http.get(ADDRESS, headers={**EHR, **tag, "Accept-Language": "de"})).status_code == 200


async def test_a_search_gives_each_match_in_the_best_language_that_it_has(
    http: httpx.AsyncClient, stored_bytes: bytes
) -> None:
    wanted = {**EHR, "Accept-Language": "de"}
    answer = await http.get("Questionnaire", params={"name": json.loads(stored_bytes)["name"]}, headers=wanted)
    found = {entry["resource"]["id"]: entry["resource"]["language"] for entry in answer.json()["entry"]}
    assert found["in-two"] == "de"
    assert set(answer.headers["content-language"].split(", ")) == set(found.values())


async def test_other_types_are_answered_as_before(http: httpx.AsyncClient) -> None:
    answer = await http.get("Patient/p1", headers={**EHR, "Accept-Language": "de"})
    assert {"vary", "content-language"}.isdisjoint(answer.headers)
