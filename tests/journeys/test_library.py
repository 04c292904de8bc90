"""A site brings the wording of WSAS at the terminal: answers to it are scored, and no other tenant sees it."""

import asyncio
import json
from pathlib import Path

import pytest
from stepwell_screening.commands import commands as instrument_commands
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import load_private_keys, make_private_key, public_key_set
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.cli.access import add_client
from typer.testing import CliRunner, Result

from tests.services.screening.site_forms import answers_to, site_form
from tests.support.suite import SOUTH, Suite

LIBRARIAN = "north.librarian"


async def employ(suite: Suite) -> None:
    """A client of north that may bring Questionnaires."""
    settings = suite.deployment.access()
    key_file = settings.key_file(LIBRARIAN)
    keys = load_private_keys(key_file) if key_file.exists() else (make_private_key(key_file),)
    client = Client(LIBRARIAN, Scopes.parse("system/Questionnaire.crus"), jwks=public_key_set(keys))
    await add_client(settings, client, replace=True)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(instrument_commands, arguments)


async def test_a_sites_own_form_of_an_instrument_is_published_at_the_terminal_and_scored(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await employ(suite)
    monkeypatch.setenv("STEPWELL_HOME", str(suite.deployment.home))
    form = site_form(
        "wsas", code=[{"system": "https://stepwell.health/fhir/CodeSystem/instrument-item", "code": "wsas"}]
    )
    path = tmp_path / "wsas.json"
    path.write_text(json.dumps(form | {"item": form["item"][:4]}))
    arguments = (str(path), "--client", LIBRARIAN, "--attest", "A. Librarian", "--licence", "Artificial licence")

    refused = await asyncio.to_thread(run, "import", *arguments)
    assert (refused.exit_code, "The item /wsas-5 is missing." in refused.output) == (1, True)
    path.write_text(json.dumps(form))
    unattested = await asyncio.to_thread(run, "import", *arguments[:3])
    assert (unattested.exit_code, "attestedBy" in unattested.output) == (1, True)
    brought = await asyncio.to_thread(run, "import", *arguments)
    assert brought.exit_code == 0, brought.output

    async with suite.clinic() as clinic, suite.clinic(SOUTH) as stranger:
        patient = await clinic.patient()
        answers = {f"/wsas-{number}": "wsas-4" for number in range(1, 6)}
        response = answers_to(form, answers, subject={"reference": f"Patient/{patient['id']}"})
        assert (await clinic.submit(response)).status_code == 201
        code = "https://stepwell.health/fhir/CodeSystem/instrument|wsas"
        (score,) = await clinic.wait_for("measurement", "Observation", subject=f"Patient/{patient['id']}", code=code)
        assert score["valueQuantity"]["value"] == 20
        assert await stranger.search("screening", "Questionnaire", url=form["url"]) == []
