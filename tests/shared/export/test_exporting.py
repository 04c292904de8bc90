"""Promises of what an export holds: all of one moment, once, and nothing that its client may not see."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.export import jobs, planning
from stepwell_shared.export.source import Source
from stepwell_shared.fhir.interactions.engine import change_of
from stepwell_shared.fhir.unit import Method, Stored, UnitOfWork
from structlog.testing import capture_logs

from tests.shared.export.conftest import Hospital, observation, patient
from tests.support import consents
from tests.support.runtime import NORTH, SOUTH, Resource

VERSION = (
    "INSERT INTO fhir_version (tenant, resource_type, id, version, last_updated, method, body)"
    " VALUES ($1, 'Observation', $2, 1, $3, 'PUT', $4)"
)


async def delete(hospital: Hospital, resource_type: str, id_: str) -> None:
    current = await hospital.runtime.store.read(NORTH, resource_type, id_)
    assert current is not None
    gone = Stored(resource_type, id_, current.version + 1, hospital.runtime.clock(), None, Method.DELETE)
    await hospital.runtime.store.commit(UnitOfWork(NORTH, [change_of(hospital.runtime.engine, gone, None)]))


async def kick_off(hospital: Hospital, path: str = "$export", **parameters: Any) -> str:
    answer = await hospital.ask(path, **parameters)
    assert answer.status_code == 202, answer.text
    location: str = answer.headers["content-location"]
    return location


async def ids(hospital: Hospital, location: str, kind: str = "output") -> list[str]:
    manifest = (await hospital.http.get(location, headers=hospital.caller())).json()
    texts = await hospital.files(manifest, kind=kind)
    return [orjson.loads(line)["id"] for text in texts for line in text.splitlines()]


async def test_another_tenant_sees_nothing_of_it(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"))
    await hospital.keep(observation("o2"), tenant=SOUTH)
    assert await hospital.exported(_type="Observation") == {"Observation": ["o1"]}
    manifest = await hospital.manifest(_type="Observation")
    location = manifest["output"][0]["url"].rpartition("/")[0]
    for who in (hospital.caller(tenant=SOUTH), hospital.caller(name="another")):
        for url in (location, manifest["output"][0]["url"]):
            assert (await hospital.http.get(url, headers=who)).status_code == 404
        assert (await hospital.http.delete(location, headers=who)).status_code == 404
    assert await hospital.files(manifest)


async def test_resources_come_as_they_are_stored_one_a_line(hospital: Hospital) -> None:
    text = (
        b'{"resourceType": "Observation",\r\n  "status": "final", "code": {"text": "a \\n b"},\n'
        b' "subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2026-11-20",'
        b' "valueQuantity": {"value": 72.50, "unit": "kg"}}'
    )
    sent = await hospital.http.post(
        "Observation",
        content=text,
        headers={**hospital.caller("system/*.cruds"), "Content-Type": "application/fhir+json"},
    )
    assert sent.status_code == 201, sent.text
    ((line,),) = [each.splitlines() for each in await hospital.files(await hospital.manifest(_type="Observation"))]
    assert b"72.50" in line
    assert orjson.loads(line) == sent.json()


async def test_an_export_is_of_the_moment_in_which_it_was_asked_for(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"), observation("o2"), observation("o3"))
    locations = [
        await kick_off(hospital, _type="Observation"),
        await kick_off(hospital, _typeFilter="Observation?status=final", _type="Observation"),
        await kick_off(hospital, "Patient/$export", _type="Observation"),
    ]
    await hospital.keep(observation("o1", status="amended"), observation("o4"))
    await hospital.keep(observation("o1", status="cancelled"))
    await delete(hospital, "Observation", "o2")
    await hospital.work()
    await hospital.keep(observation("o3", status="amended"))
    for location in locations:
        assert await ids(hospital, location) == ["o1", "o2", "o3"]
        manifest = (await hospital.http.get(location, headers=hospital.caller())).json()
        assert [each["count"] for each in manifest["output"]] == [3]
        assert b"amended" not in (await hospital.files(manifest))[0]


async def test_what_changes_after_it_waits_for_the_next_since(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"), observation("o2"), observation("o3"))
    first = await hospital.manifest(_type="Observation")
    await hospital.keep(observation("o1", status="amended"), observation("o4"))
    await delete(hospital, "Observation", "o2")
    second = await hospital.manifest(_type="Observation", _since=first["transactionTime"])
    assert [orjson.loads(line)["id"] for line in (await hospital.files(second))[0].splitlines()] == ["o1", "o4"]
    (deleted,) = await hospital.files(second, kind="deleted")
    bundle = orjson.loads(deleted)
    assert (bundle["type"], second["deleted"][0]["type"]) == ("transaction", "Bundle")
    assert bundle["entry"] == [{"request": {"method": "DELETE", "url": "Observation/o2"}}]
    third = await hospital.manifest(_type="Observation", _since=second["transactionTime"])
    assert (third["output"], third["deleted"]) == ([], [])
    assert first["transactionTime"] < second["transactionTime"] < third["transactionTime"]


async def test_a_writer_that_is_slower_than_the_export_is_in_it_or_in_the_next(hospital: Hospital) -> None:
    """It has its time from before the kick-off and commits after it."""
    runtime = hospital.runtime
    await hospital.keep(observation("o1"))
    early = runtime.clock()
    async with runtime.database.transaction(NORTH) as slow:
        await slow.execute("SELECT pg_current_xact_id()")  # it has begun to write
        await hospital.keep(observation("o2"))
        location = await kick_off(hospital, _type="Observation")
        assert not await jobs.is_settled(runtime.database, (await _job(hospital, location)).horizon)
        await slow.execute(VERSION, NORTH, "slow", early, orjson.dumps(observation("slow")))
    await hospital.work()
    assert await ids(hospital, location) == ["o1", "o2", "slow"]
    async with runtime.database.transaction(NORTH) as slower:
        await slower.execute(VERSION, NORTH, "slower", early, orjson.dumps(observation("slower")))
    manifest = (await hospital.http.get(location, headers=hospital.caller())).json()
    found = await hospital.exported(_type="Observation", _since=manifest["transactionTime"])
    assert found == {"Observation": ["slower"]}


async def _job(hospital: Hospital, location: str) -> jobs.Job:
    found = await jobs.find(hospital.runtime.database, NORTH, location.rpartition("/")[2])
    assert found is not None
    return found


async def test_any_other_since_begins_with_what_is_not_older(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"))
    moment = hospital.runtime.clock()
    await hospital.keep(observation("o2"))
    assert await hospital.exported(_type="Observation", _since=moment.isoformat()) == {"Observation": ["o2"]}
    later = (moment + timedelta(days=1)).isoformat()
    assert await hospital.exported(_since=later) == {}


async def test_filters_of_a_type_are_alternatives(hospital: Hospital) -> None:
    await hospital.keep(
        observation("o1"), observation("o2", status="amended"), observation("o3", status="cancelled"), patient("p1")
    )
    filters = "Observation?status=amended,preliminary,Observation?status=final&code=8480-6"
    found = await hospital.exported(_typeFilter=filters)
    found = {name: found[name] for name in ("Observation", "Patient")}
    assert found == {"Observation": ["o1", "o2"], "Patient": ["p1"]}


async def test_what_is_changed_while_a_file_is_read_is_in_it_as_it_was_and_once(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell_shared.export.source.PAGE_RESOURCES", 2)
    await hospital.keep(*(observation(f"o{number}") for number in range(6)))
    location = await kick_off(hospital, "Patient/$export", _type="Observation")
    await hospital.work()
    changed, pages = Source._changed, iter(("o1", "o4", "o5"))

    def meanwhile(source: Source, after: str, last: str) -> Any:
        async def found() -> Any:
            if id_ := next(pages, ""):
                await hospital.keep(observation(id_, status="amended"))
            async for each in changed(source, after, last):
                yield each

        return found()

    monkeypatch.setattr(Source, "_changed", meanwhile)
    assert await ids(hospital, location) == [f"o{number}" for number in range(6)]


async def test_granular_scopes_hold_for_what_is_exported_and_for_each_file(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"), observation("o2", status="amended"), observation("o3"))
    narrow = hospital.caller("system/Observation.rs?status=final")
    assert await hospital.exported(caller=narrow) == {"Observation": ["o1", "o3"]}
    wide = await hospital.manifest(_type="Observation")
    text = (await hospital.http.get(wide["output"][0]["url"], headers=narrow)).content
    assert [orjson.loads(line)["id"] for line in text.splitlines()] == ["o1", "o3"]
    stranger = hospital.caller("system/Patient.rs")
    assert (await hospital.http.get(wide["output"][0]["url"], headers=stranger)).status_code == 403


async def test_what_has_left_a_granular_scope_is_not_shown_as_it_was(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"), observation("o2"))
    narrow = hospital.caller("system/Observation.rs?status=final")
    asked = await hospital.ask(caller=narrow)
    await hospital.keep(observation("o1", status="cancelled"))
    await hospital.work()
    manifest = (await hospital.http.get(asked.headers["content-location"], headers=narrow)).json()
    assert b'"o1"' not in (await hospital.files(manifest, narrow))[0]


async def test_a_patients_export_holds_the_compartment_with_its_provenance(hospital: Hospital) -> None:
    elsewhere = observation("o3") | {"subject": {"reference": "https://ehr.example/fhir/Patient/9"}}
    told = [_provenance("v1", "Observation/o1"), _provenance("v2", "Observation/o3")]
    await hospital.keep(patient("p1"), observation("o1"), elsewhere, *told)
    found = await hospital.exported("Patient/$export")
    assert found == {"Patient": ["p1"], "Observation": ["o1"], "Provenance": ["v1"]}
    assert "Provenance" not in await hospital.exported("Patient/$export", _type="Patient,Observation")
    assert (await hospital.exported())["Provenance"] == ["v1", "v2"]


def _provenance(id_: str, target: str) -> Resource:
    return {
        "resourceType": "Provenance",
        "id": id_,
        "target": [{"reference": target}],
        "recorded": "2026-11-21T09:00:00Z",
        "agent": [{"who": {"display": "Stepwell"}}],
    }


async def test_a_groups_export_is_of_who_was_in_it(hospital: Hospital) -> None:
    await hospital.keep(
        patient("p1"), patient("p2"), observation("o1"), observation("o2", "p2"), observation("o3", "p3")
    )
    members = [{"reference": "Patient/p1"}, {"reference": "Patient/p2"}, {"display": "somebody"}]
    listed = [{"entity": members[0]}, {"entity": members[1], "inactive": True}, {"entity": members[2]}]
    await hospital.keep({"resourceType": "Group", "id": "g1", "type": "person", "actual": True, "member": listed})
    path = "Group/g1/$export"
    location = await kick_off(hospital, path)
    await hospital.keep(observation("o4"), observation("o1", status="amended"))
    await hospital.work()
    assert await ids(hospital, location) == ["o1", "g1", "p1"], "the Group is in the compartment of its members"
    await delete(hospital, "Observation", "o1")
    manifest = (await hospital.http.get(location, headers=hospital.caller())).json()
    later = await hospital.manifest(path, _type="Observation", _since=manifest["transactionTime"])
    assert b'"o4"' in (await hospital.files(later))[0]
    assert b"Observation/o1" in (await hospital.files(later, kind="deleted"))[0]
    assert (await hospital.ask("Group/none/$export")).status_code == 404
    assert (await hospital.ask(path, hospital.caller("system/Observation.rs"))).status_code == 403


async def test_an_outside_organisation_gets_what_consents_permit_and_no_file_after_one_is_withdrawn(
    hospital: Hospital,
) -> None:
    clinic = "Organization/clinic"
    allowed = consents.provision("permit", clinic, classes=consents.of_types("Observation"))
    await hospital.keep(patient("p1"), observation("o1"), observation("o2", "p2"), consents.sharing("p1", allowed))
    who = hospital.caller("system/*.rs", roles=("outside-organisation",), fhir_user=clinic)
    manifest = await hospital.manifest(caller=who, _type="Observation")
    assert b'"o1"' in (await hospital.files(manifest, who))[0]
    assert [each["count"] for each in manifest["output"]] == [1]
    await hospital.keep(consents.sharing("p1", allowed, status="inactive"))
    assert (await hospital.http.get(manifest["output"][0]["url"], headers=who)).content == b""
    assert "Observation" not in await hospital.exported(caller=who, _type="Observation")


async def test_an_export_that_cannot_be_made_fails_alone(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    await hospital.keep(observation("o1"))
    broken, good = await kick_off(hospital, _type="Patient"), await kick_off(hospital, _type="Observation")
    extent = Source.extent

    async def failing(source: Source, after: str, most: int) -> Any:
        if source.selection.resource_type == "Patient":
            raise AssertionError("a defect")
        return await extent(source, after, most)

    monkeypatch.setattr(Source, "extent", failing)
    with capture_logs() as logged:
        await hospital.work()
    assert [each["log_level"] for each in logged] == ["error"]
    assert await ids(hospital, good) == ["o1"]
    answer = await hospital.http.get(broken, headers=hospital.caller())
    assert (answer.status_code, answer.json()["resourceType"]) == (422, "OperationOutcome")
    assert "defect" not in answer.text


async def test_elements_leave_out_the_rest_and_say_so(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"))
    (text,) = await hospital.files(await hospital.manifest(_type="Observation", _elements="Observation.subject"))
    found = orjson.loads(text)
    assert found.keys() == {"resourceType", "id", "meta", "status", "code", "subject"}
    assert found["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_a_file_has_no_more_than_so_many_and_all_of_them_once(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell_shared.export.source.PAGE_RESOURCES", 2)
    small = hospital.runtime.settings.model_copy(update={"export_file_resources": 5})
    hospital.runtime._settings = small
    await hospital.keep(*(observation(f"o{number:02}") for number in range(12)), patient("p1"))
    expected = [f"o{number:02}" for number in range(12)]
    ways: tuple[tuple[str, dict[str, Any]], ...] = (
        ("$export", {}),
        ("Patient/$export", {}),
        ("$export", {"_typeFilter": "Observation?code=8480-6"}),
    )
    for path, parameters in ways:
        manifest = await hospital.manifest(path, _type="Observation", **parameters)
        assert [each["count"] for each in manifest["output"]] == [5, 5, 2]
        texts = await hospital.files(manifest)
        assert [orjson.loads(line)["id"] for text in texts for line in text.splitlines()] == expected
        assert texts == await hospital.files(manifest)


async def test_whoever_comes_after_a_crash_goes_on_where_it_was(hospital: Hospital) -> None:
    hospital.runtime._settings = hospital.runtime.settings.model_copy(update={"export_file_resources": 2})
    await hospital.keep(*(observation(f"o{number}") for number in range(5)))
    location = await kick_off(hospital, _type="Observation")
    database = hospital.runtime.database
    (claimed,) = await jobs.claim(database, [NORTH], hospital.runtime.clock())
    job = await _job(hospital, location)
    assert await planning.step(hospital.exports, *claimed[:1], job)  # and here the process is killed
    assert await jobs.claim(database, [NORTH, SOUTH], hospital.runtime.clock()) == []
    assert not await planning.step(hospital.exports, NORTH, job), "a step that was taken is not taken again"
    async with database.transaction(NORTH) as connection:
        await connection.execute("UPDATE export_job SET lease_until = '-infinity'")
    await hospital.work()
    assert await ids(hospital, location) == ["o0", "o1", "o2", "o3", "o4"]


async def test_an_export_that_is_ended_is_gone(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"))
    manifest = await hospital.manifest(_type="Observation")
    url = manifest["output"][0]["url"]
    location, who = url.rpartition("/")[0], hospital.caller()
    assert (await hospital.http.delete(location, headers=who)).status_code == 202
    for gone in (location, url):
        assert (await hospital.http.get(gone, headers=who)).status_code == 404
    assert (await hospital.http.delete(location, headers=who)).status_code == 404
    unfinished = await kick_off(hospital)
    assert (await hospital.http.delete(unfinished, headers=who)).status_code == 202
    await hospital.work()
    assert (await hospital.http.get(unfinished, headers=who)).status_code == 404


async def test_its_files_have_their_time(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"))
    manifest = await hospital.manifest(_type="Observation")
    location, who = manifest["output"][0]["url"].rpartition("/")[0], hospital.caller()
    assert (await hospital.http.get(location, headers=who)).headers["expires"].endswith("GMT")
    hospital.runtime.clock.now += timedelta(hours=25)  # type: ignore[attr-defined]  # the test's clock
    assert (await hospital.http.get(location, headers=who)).status_code == 404
    await hospital.work()
    async with hospital.runtime.database.transaction(NORTH) as connection:
        assert await connection.fetchval("SELECT count(*) FROM export_part") == 0
    again = await hospital.manifest(_type="Observation", _since=manifest["transactionTime"])
    assert again["output"] == [], "where it ended is known still"


async def test_every_access_to_a_file_is_on_record_and_so_is_every_refusal(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"))
    manifest = await hospital.manifest(_type="Observation")
    url = manifest["output"][0]["url"]
    await hospital.files(manifest)
    await hospital.http.get(url, headers=hospital.caller("system/Patient.rs"))
    job, number = url.rsplit("/", 2)[1:]
    assert (await hospital.audit())[-2:] == [
        ("$export-file", "Observation", f"{job}.{number}", 200),
        ("$export-file", None, f"{job}.{number}", 403),
    ]


async def test_an_address_takes_what_it_takes(hospital: Hospital) -> None:
    await hospital.keep(observation("o1"))
    manifest = await hospital.manifest(_type="Observation")
    url, who = manifest["output"][0]["url"], hospital.caller()
    location = url.rpartition("/")[0]
    for address, allowed in ((location, "DELETE, GET, HEAD"), (url, "GET, HEAD")):
        refused = await hospital.http.post(address, headers=who)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
        head = await hospital.http.head(address, headers=who)
        assert (head.status_code, head.content) == (200, b"")
    assert (await hospital.http.get(url, headers={**who, "Accept": "application/fhir+xml"})).status_code == 406
    assert (await hospital.http.get(location + "/999", headers=who)).status_code == 404
    assert (await hospital.http.get(location + "/x/y", headers=who)).status_code == 404


async def test_a_file_is_packed_for_whoever_takes_it_so(hospital: Hospital) -> None:
    await hospital.keep(*(observation(f"o{number}") for number in range(20)))
    manifest = await hospital.manifest(_type="Observation")
    url, who = manifest["output"][0]["url"], hospital.caller()
    plain = await hospital.http.get(url, headers={**who, "Accept-Encoding": "identity"})
    packed = await hospital.http.get(url, headers={**who, "Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content


async def test_a_file_that_breaks_off_is_seen_to_be_cut(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepwell_shared.export.source.PAGE_RESOURCES", 1)
    await hospital.keep(observation("o1"), observation("o2"))
    manifest = await hospital.manifest(_type="Observation")
    fetch, asked = hospital.runtime.store.fetch, []

    async def failing(statement: str, *arguments: object, seconds_max: float | None = None) -> list[object]:
        asked.append(statement)
        if len(asked) > 1:
            raise OSError("the database is away")
        return list(await fetch(statement, *arguments, seconds_max=seconds_max))

    monkeypatch.setattr(hospital.runtime.store, "fetch", failing)
    with pytest.raises(UNAVAILABLE_ERRORS):
        await hospital.http.get(manifest["output"][0]["url"], headers=hospital.caller())
