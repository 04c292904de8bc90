"""Promises of `examples/`: an export is read as it is, and its tables say the same."""

import asyncio
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from stepwell_shared.canonical import code_system
from stepwell_shared.cli.asking import PatientClient
from stepwell_shared.cli.exporting import Export
from stepwell_shared.cli.tables import Format, chosen_views, write_tables

from tests.shared.export.conftest import Hospital, Resource, observation
from tests.support.runtime import URLS

EXAMPLES = Path(__file__).parents[3] / "examples"


def score(id_: str, patient: str, value: float, band: str) -> Resource:
    return observation(
        id_,
        patient,
        category=[{"coding": [{"code": "survey"}]}],
        code={"coding": [{"system": "http://loinc.org", "code": "44261-6"}]},
        valueQuantity={"value": value, "unit": "{score}"},
        interpretation=[{"coding": [{"system": code_system("band"), "code": band}]}],
    )


async def test_duckdb_reads_an_export_as_it_is(hospital: Hospital, tmp_path: Path) -> None:
    await hospital.keep(
        score("o1", "p1", 20, "phq-9-severe"), score("o2", "p1", 9, "phq-9-mild"), score("o3", "p2", 8, "phq-9-mild")
    )
    asked = await hospital.ask(_type="Observation")
    await hospital.work()

    async def token() -> str:
        return hospital.caller()["Authorization"].removeprefix("Bearer ")

    client = PatientClient(hospital.http, token, patience_seconds=60)
    job = Export(client, f"{URLS['measurement']}/$export?_type=Observation", tmp_path)
    job.state.location = asked.headers["content-location"]
    manifest = await job.run()
    files = [(each.type, path) for each, path in job.files(manifest)]
    write_tables(Console(quiet=True), chosen_views(["scores"]), files, tmp_path / "tables", Format.PARQUET, [])
    command = [sys.executable, str(EXAMPLES / "read_with_duckdb.py"), str(tmp_path)]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "44261-6: 3 scores of 2 people, 12.3 on average",
        "phq-9-mild: 2",
        "phq-9-severe: 1",
    ]
