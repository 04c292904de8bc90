"""Promises of `stepwell export`: what it has it keeps, and stopped anywhere it goes on where it was."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from stepwell_shared.cli.asking import PatientClient
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.exporting import STATE, Export, address_of
from stepwell_shared.cli.main import application
from stepwell_shared.cli.tables import chosen_views
from stepwell_shared.export.planning import keep_planning
from typer.testing import CliRunner

from tests.shared.export.conftest import Hospital, observation, patient
from tests.support.runtime import NORTH, URLS

ADDRESS = f"{URLS['measurement']}/$export?_type=Observation,Patient"


@pytest.fixture
async def at_work(hospital: Hospital) -> AsyncIterator[Hospital]:
    """The service makes ready what is asked for."""
    hospital.runtime._settings = hospital.runtime.settings.model_copy(update={"export_file_resources": 2})
    await hospital.keep(*(observation(f"o{number}") for number in range(5)), patient("p1"))

    async def tenants() -> list[str]:
        return [NORTH]

    task = asyncio.create_task(keep_planning(hospital.exports, tenants))
    yield hospital
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def export(hospital: Hospital, folder: Path, address: str = ADDRESS, **more: Any) -> Export:
    scopes = more.pop("scopes", "system/*.rs")

    async def token() -> str:
        return hospital.caller(scopes)["Authorization"].removeprefix("Bearer ")

    return Export(PatientClient(hospital.http, token, patience_seconds=0.5), address, folder, **more)


def ids(folder: Path) -> list[str]:
    files = sorted(folder.glob("*.ndjson"))
    return [orjson.loads(line)["id"] for file in files for line in file.read_bytes().splitlines()]


def parts_in(folder: Path) -> list[Path]:
    return list(folder.glob("*.part"))


async def test_a_client_that_may_not_is_told_in_a_sentence(at_work: Hospital, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="does not let this client in"):
        await export(at_work, tmp_path, scopes="user/*.rs").run()
    with pytest.raises(SetupError, match="Nonsense"):
        await export(at_work, tmp_path / "b", f"{ADDRESS},Nonsense").run()


async def test_what_was_fetched_is_not_fetched_again(
    at_work: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, asked = at_work.http.stream, []

    def breaking(method: str, url: str, **more: Any) -> Any:
        asked.append(url)
        if len(asked) == 2:
            raise RuntimeError("the process is killed")
        if len(asked) == 3:
            raise httpx.ReadError("cut")
        return stream(method, url, **more)

    monkeypatch.setattr(at_work.http, "stream", breaking)
    monkeypatch.setattr("stepwell_shared.cli.exporting.FILES_AT_ONCE", 1)
    told: list[tuple[int, int]] = []
    with pytest.raises(RuntimeError, match="killed"):
        await export(at_work, tmp_path).run()
    assert len(ids(tmp_path)) == 2
    await at_work.keep(observation("later"))
    manifest = await export(at_work, tmp_path, tell=lambda what, done, total: told.append((done, total))).run()
    assert sorted(ids(tmp_path)) == ["o0", "o1", "o2", "o3", "o4", "p1"]
    assert sum(each.count or 0 for each in manifest.output) == 6
    assert (told[0], told[-1]) == ((2, 6), (6, 6))
    assert len(asked) == len(manifest.output) + 2, "the one that was stopped, and the one that broke off, again"
    assert not parts_in(tmp_path)
    assert (await export(at_work, tmp_path).run()).transaction_time == manifest.transaction_time
    assert len(asked) == len(manifest.output) + 2


async def test_an_export_that_is_fetched_is_ended_and_the_next_begins_where_it_was(
    at_work: Hospital, tmp_path: Path
) -> None:
    manifest = await export(at_work, tmp_path / "first", f"{ADDRESS}").run()
    location = orjson.loads((tmp_path / "first" / STATE).read_bytes())["location"]
    assert (await at_work.http.get(location, headers=at_work.caller())).status_code == 404
    await at_work.keep(observation("later"))
    again = f"{ADDRESS}&_since={manifest.transaction_time}"
    await export(at_work, tmp_path / "second", again).run()
    assert ids(tmp_path / "second") == ["later"]
    with pytest.raises(SetupError, match="another export"):
        export(at_work, tmp_path / "first", again)


def test_the_address_says_what_is_asked_for() -> None:
    parameters = {"_type": ["A,B"], "_typeFilter": ["A?x=1", "B?y=2"], "_since": []}
    query = "?_type=A%2CB&_typeFilter=A%3Fx%3D1&_typeFilter=B%3Fy%3D2"
    assert (
        address_of("https://h/fhir/", group=None, patients=False, parameters=parameters)
        == f"https://h/fhir/$export{query}"
    )
    assert address_of("https://h/fhir", group="g", patients=False, parameters={}) == "https://h/fhir/Group/g/$export"
    assert address_of("https://h/fhir", group=None, patients=True, parameters={}) == "https://h/fhir/Patient/$export"


def test_a_view_that_cannot_be_run_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"resource": "Patient", "select": [{"column": [{"name": "a", "path": "@@"}]}]}')
    for name in ("nonsense", str(broken)):
        arguments = ["export", "measurement", str(tmp_path), "--client", "n.w", "--view", name]
        ran = CliRunner().invoke(application(arguments), arguments)
        assert ran.exit_code == 1
        assert not (tmp_path / STATE).exists()
    assert [view.name for view in chosen_views(["scores", "waits"])] == ["scores", "waits"]
