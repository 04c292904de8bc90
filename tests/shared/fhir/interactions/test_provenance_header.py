"""G11: X-Provenance with a write, refusals first."""

import json
from typing import Any

import pytest

from tests.shared.fhir.interactions.refusing import refused, status_of
from tests.support.engine import Bench, FakeAccess, json_of, patient

GIVEN: dict[str, Any] = {
    "resourceType": "Provenance",
    "recorded": "2026-11-21T20:00:00Z",
    "agent": [{"who": {"display": "a clinic"}}],
}


def header(**members: Any) -> dict[str, str]:
    return {"x-provenance": json.dumps({**GIVEN, **members})}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-provenance": "not JSON"}, "structure"),
        ({"x-provenance": "[]"}, "structure"),
        ({"x-provenance": "{}"}, "structure"),
        ({"x-provenance": '{"resourceType":"Patient"}'}, "structure"),
        ({"x-provenance": "\u00ff"}, "structure"),
        (header(target=[{"reference": "Patient/other"}]), "invalid"),
        (header(recorded="yesterday"), "value"),
        (header(agent=None), "structure"),
        (header(agent=[{"who": {"display": "x" * 9000}}]), "too-long"),
    ],
)
async def test_g11_a_header_that_is_no_provenance_refuses_the_write(
    bench: Bench, headers: dict[str, str], code: str
) -> None:
    error = await refused(bench.create(patient(), headers=headers))
    assert (error.status, error.issues[0].diagnostics.startswith("x-provenance")) == (400, True)
    assert code in {issue.code for issue in error.issues}
    assert await bench.found("Patient") == []


async def test_g11_keeping_provenance_must_be_granted(bench: Bench) -> None:
    denied = FakeAccess(denied=frozenset({"Provenance.create"}))
    assert await status_of(bench.create(patient(), headers=header(), access=denied)) == 403
    narrowed = FakeAccess(narrowed={"Provenance.create": ["target=Patient/x"]})
    assert await status_of(bench.create(patient(), headers=header(), access=narrowed)) == 403
    assert await bench.found("Patient") == []


async def test_g11_the_server_fills_the_target_and_keeps_both_together(bench: Bench) -> None:
    made = await bench.create(patient(), headers=header())
    await bench.update(patient(id="p1"), headers=header())
    await bench.patch("Patient", "p1", [{"op": "add", "path": "/active", "value": True}], headers=header())
    for id_, count in ((made.id, 1), ("p1", 2)):
        found = await bench.search("Provenance", f"target=Patient/{id_}")
        assert len(found["entry"]) == count
    targets = {entry["resource"]["target"][0]["reference"] for entry in (await bench.search("Provenance"))["entry"]}
    assert targets == {f"Patient/{made.id}/_history/1", "Patient/p1/_history/1", "Patient/p1/_history/2"}
    kept = (await bench.search("Provenance"))["entry"][0]["resource"]
    assert (kept["agent"], kept["recorded"]) == (GIVEN["agent"], GIVEN["recorded"])


async def test_g11_without_a_write_nothing_is_kept(bench: Bench) -> None:
    await bench.update(patient(id="p1"))
    await bench.read("Patient", "p1", headers=header())
    await bench.delete("Patient", "p1", headers=header())
    assert await status_of(bench.update(patient(id="p1"), headers={**header(), "if-match": 'W/"9"'})) == 412
    assert await bench.found("Provenance") == []


async def test_g11_text_beyond_ascii_arrives_as_utf8(bench: Bench) -> None:
    text = json.dumps({**GIVEN, "agent": [{"who": {"display": "Zoë"}}]}, ensure_ascii=False)
    await bench.create(patient(), headers={"x-provenance": text.encode().decode("latin-1")})
    found = (await bench.search("Provenance"))["entry"][0]["resource"]
    assert found["agent"][0]["who"]["display"] == "Zoë"
    assert json_of(await bench.read("Provenance", found["id"]))["meta"]["versionId"] == "1"
