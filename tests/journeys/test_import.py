"""A file of responses goes in through the command, is killed on the way, goes on, and every answer counts once."""

import asyncio
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.client import filled

from tests.support.suite import NORTH, Suite

LINES = 120
REFUSED = {17, 64}


async def started(suite: Suite, path: Path) -> asyncio.subprocess.Process:
    """The command as a person at a terminal starts it."""
    settings = suite.deployment.access()
    where = {
        "STEPWELL_HOME": str(settings.home),
        "STEPWELL_ISSUER_URL": settings.text("issuer_url"),
        "STEPWELL_SCREENING_URL": settings.text("screening_url"),
    }
    argv = ["-m", "stepwell_shared.cli.main", "import", str(path), "--client", f"{NORTH}.clinic"]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, *argv, env={**os.environ, **where}, stdout=pipe, stderr=pipe
    )


async def lines(suite: Suite) -> tuple[str, list[dict[str, Any]]]:
    """A person and her answers; some of the answers do not fit the questionnaire."""
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        canonical = f"{CANONICAL}/Questionnaire/gad-7"
        questionnaire = (await clinic.search("screening", "Questionnaire", url=canonical))[0]
    made = []
    for number in range(1, LINES + 1):
        response = filled(
            questionnaire,
            [number % 4] * 7,
            patient=f"Patient/{patient['id']}",
            authored=datetime(2026, 1, 1, *divmod(number, 60), tzinfo=UTC),
            identifier=f"urn:uuid:{uuid.uuid4()}",
        )
        made.append({**response, "status": "no such status"} if number in REFUSED else response)
    return patient["id"], made


@pytest.mark.parametrize("identified", [True, False], ids=["with identifiers", "without identifiers"])
async def test_a_killed_import_goes_on_and_stores_every_response_once(
    suite: Suite, tmp_path: Path, identified: bool
) -> None:
    patient_id, responses = await lines(suite)
    if not identified:
        for each in responses:
            del each["identifier"]
    path = tmp_path / "responses.ndjson"
    path.write_text("".join(json.dumps(each) + "\n" for each in responses))
    first = await started(suite, path)
    try:
        async with suite.clinic() as clinic:
            await clinic.wait_for("screening", "QuestionnaireResponse", patient=f"Patient/{patient_id}", count=10)
    finally:
        if first.returncode is None:
            first.kill()
        _, complaints = await first.communicate()
    assert not complaints
    again = await started(suite, path)
    said, complaints = await again.communicate()
    assert again.returncode == 3, complaints.decode()
    assert "refused" in said.decode()
    report = [json.loads(line) for line in (tmp_path / "responses.ndjson.refused.ndjson").read_text().splitlines()]
    assert {each["line"] for each in report} == REFUSED
    async with suite.clinic() as clinic:
        found = await clinic.call(
            "GET", "screening", f"QuestionnaireResponse?patient=Patient/{patient_id}&_summary=count&_total=accurate"
        )
    assert found.json()["total"] == LINES - len(REFUSED)
