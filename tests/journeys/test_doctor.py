"""`stepwell doctor` at a running suite: what is well is said to be, and what is broken is found with what to do."""

import asyncio
import json
from dataclasses import asdict

import pytest
from stepwell_shared.cli.doctor.command import DoctorSettings, add_doctor_command, examine
from stepwell_shared.cli.doctor.findings import Finding, State
from typer import Typer
from typer.testing import CliRunner, Result

from tests.support.suite import NORTH, SOUTH, Suite

# Other journeys of this suite leave subscribers that are silent, events that are parked, and tenants half made.
OF_OTHERS = {"outbox", "parked", "subscribers", "peers"}


def settings_of(suite: Suite, **changed: str | None) -> DoctorSettings:
    return DoctorSettings.model_validate({**suite.deployment.access().model_dump(), **changed})


def of_others(finding: Finding) -> bool:
    """Whether another journey may have left it."""
    is_half_made = finding.subject == "listeners" and not finding.told.startswith((NORTH, SOUTH))
    return finding.subject in OF_OTHERS or is_half_made


def wrong(found: list[Finding]) -> dict[tuple[str, str], str]:
    """What was seen, by place and subject."""
    return {(each.place, each.subject): each.told for each in found if each.state is State.WRONG}


async def test_a_suite_that_is_well_is_said_to_be(suite: Suite) -> None:
    found = await examine(settings_of(suite), None, None)
    assert not [each for each in found if not of_others(each) and each.state is not State.GOOD]
    assert {"answers", "schema", "login", "listeners", "tokens", "audit", "clock"} <= {each.subject for each in found}


async def test_each_thing_that_is_broken_is_found_at_its_place(suite: Suite) -> None:
    changed = {
        "routing_url": "http://127.0.0.1:9/routing/fhir",
        "referral_database_url": "postgresql://nobody:x@127.0.0.1:9/nothing",
        "measurement_database_url": suite.deployment.databases["measurement"].owner,
        "issuer_url": "http://127.0.0.1:9/auth",
    }
    found = wrong(await examine(settings_of(suite, **changed), None, None, audits=False))
    assert found["routing", "answers"] == "no answer: ConnectError"
    assert found["referral database", "reachable"] == "no answer: ConnectionRefusedError"
    assert "could switch row-level security off" in found["measurement database", "login"]
    assert "does not answer" in found["issuer", "tokens"]
    assert "sends clients to" in found["screening", "issuer"]
    # Whoever is told at another address is told at the wrong one.
    assert "http://127.0.0.1:9/routing/notifications" in found["screening", "listeners"]


async def doctor(suite: Suite, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv("STEPWELL_HOME", str(suite.deployment.home))
    app = Typer()
    add_doctor_command(app)
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


async def test_a_setting_that_is_missing_ends_with_1_and_a_line_that_says_where_to_set_it(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPWELL_REFERRAL_URL", "")
    told = await doctor(suite, monkeypatch, "--no-audit", "--json")
    assert told.exit_code == 1
    finding = Finding("settings", "STEPWELL_REFERRAL_URL", State.WRONG, "is not set")
    (found,) = [each for each in json.loads(told.output) if each["place"] == "settings"]
    assert found | {"to_do": ""} == asdict(finding)
    assert "stepwell.env" in found["to_do"]


async def test_people_get_a_table_of_what_is_not_good_and_a_sum(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_ROUTING_URL", "http://127.0.0.1:9/routing/fhir")
    told = await doctor(suite, monkeypatch, "--no-audit")
    assert told.exit_code == 1
    assert "no answer: ConnectError" in told.output
    assert "release" not in told.output
    assert " good, " in told.output
    everything = await doctor(suite, monkeypatch, "--no-audit", "--all", "--client", "north.ehr")
    assert "north.ehr gets one" in everything.output
