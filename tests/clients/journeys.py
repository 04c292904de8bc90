"""The clients as they are published, against the four running services, with a table of what they saw."""

import asyncio
import json
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stepwell_shared.auth.assertions import make_assertion
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import load_private_key, make_private_key, public_key_set
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.cli.access import add_client
from stepwell_shared.settings import SERVICES

from tests.clients import install
from tests.clients.plan import MAY_DO, plan_for, subscription
from tests.external.tools import SkippedError
from tests.support.suite import NORTH, Suite, running_suite

TESTER = f"{NORTH}.tester"
SECONDS_MAX = 300
MARKS = {"passed": "ok", "absent": "-", "defect": "known", "failed": "FAILED"}

Resource = dict[str, Any]


@dataclass(frozen=True)
class Published:
    """A client package, and the command that plays its journey, but for the file with the plans."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True)
class Finding:
    """What a client saw at one service in one step."""

    service: str
    step: str
    verdict: str
    detail: str | None = None


def run() -> bool:
    """Plays every journey and prints what came of it; whether no step failed. Runs inside `postgres.test_run()`."""
    clients = [*_node_clients(), *_python_clients()]
    if not clients:
        raise SkippedError("neither npm nor PyPI packages could be had")
    failed = 0
    with tempfile.TemporaryDirectory() as folder, running_suite(Path(folder)) as suite:
        asyncio.run(register_tester(suite))
        seeds = asyncio.run(_seeds(suite))
        for client in clients:
            print(f"{client.name} ...", flush=True)
            plans = asyncio.run(_plans(suite, client.name, seeds))
            findings = _play(client, plans, Path(folder))
            failed += sum(finding.verdict == "failed" for finding in findings)
            _print_table(findings)
    return failed == 0


def _node_clients() -> list[Published]:
    try:
        install.install_node_packages()
    except SkippedError as reason:
        print(f"SKIPPED npm clients: {reason}")
        return []
    return [
        Published(f"npm {name} {install.versions()[f'npm {name}']}", ("node", str(install.NODE / script)))
        for name, script in (
            ("fhir-kit-client", "fhir-kit-client.mjs"),
            ("@medplum/core", "medplum-core.mjs"),
            ("fhirclient", "fhirclient.mjs"),
        )
    ]


def _python_clients() -> list[Published]:
    try:
        python = install.install_python_packages()
    except SkippedError as reason:
        print(f"SKIPPED PyPI clients: {reason}")
        return []
    return [
        Published(f"PyPI {name} {install.versions()[name]}", (str(python), "-m", f"tests.clients.python.{module}"))
        for name, module in (("fhirpy", "fhirpy_client"), ("fhirclient", "smart_fhirclient"))
    ]


async def register_tester(suite: Suite) -> None:
    """One client that may do everything, so that no refusal is only that it may not."""
    settings = suite.deployment.access()
    key = make_private_key(settings.key_file(TESTER))
    client = Client(
        TESTER,
        Scopes.parse(MAY_DO),
        jwks=public_key_set((key,)),
        roles=("clinician", "coordinator"),
        fhir_user=f"Practitioner/{NORTH}-clinician",
    )
    await add_client(settings, client, replace=True)


async def _seeds(suite: Suite) -> dict[str, str]:
    """A person whose answers have gone through all four services, and a practice that offers a place."""
    async with suite.clinic(name="tester") as clinic:
        patient = await clinic.patient()
        answered = await clinic.submit(await clinic.form("gad-7", (2, 2, 2, 2, 2, 2, 0), patient))
        if answered.status_code != 201:
            raise SystemExit(f"screening answered {answered.status_code}: {answered.text}")
        for service, resource_type in (
            ("routing", "ServiceRequest"),
            ("referral", "Task"),
            ("measurement", "Observation"),
        ):
            await clinic.wait_for(service, resource_type, patient=str(patient["id"]))
        organization = await clinic.create("referral", {"resourceType": "Organization", "name": "Practice"})
        place = {"reference": f"Organization/{organization['id']}"}
        await clinic.create("referral", {"resourceType": "HealthcareService", "name": "Place", "providedBy": place})
        return {"patient": str(patient["id"]), "organization": str(organization["id"])}


async def _plans(suite: Suite, name: str, seeds: dict[str, str]) -> list[Resource]:
    """The plans of a client, each with addresses, an assertion of its own and a Subscription to delete."""
    settings = suite.deployment.access()
    token_url = f"{suite.deployment.issuer_url}/token"
    key = load_private_key(settings.key_file(TESTER))
    client = name.replace(" ", "-").replace("@", "").replace("/", "-")
    endpoint = f"http://127.0.0.1:{suite.listener_port}"
    plans = []
    async with suite.clinic(name="tester") as clinic:
        for service in SERVICES:
            deletable = await clinic.create(service, subscription(service, f"{client}-deletes", endpoint, 0))
            plan = plan_for(service, client, endpoint, seeds)
            existing = await clinic.create(service, plan["resources"][-1])
            assertion = make_assertion(TESTER, token_url, key, str(uuid.uuid4()), datetime.now(UTC).timestamp())
            addresses = {"baseUrl": suite.deployment.url_of(service), "tokenUrl": token_url}
            credentials = {"clientId": TESTER, "assertion": assertion}
            plans.append({**plan, **addresses, **credentials, "deletable": deletable["id"], "existing": existing})
    return plans


def _play(client: Published, plans: list[Resource], folder: Path) -> list[Finding]:
    file = folder / "plans.json"
    file.write_text(json.dumps(plans), encoding="utf-8")
    done = subprocess.run(
        [*client.command, str(file)],
        cwd=install.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    findings = [Finding(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith('{"service"')]
    silent = [service for service in SERVICES if service not in {finding.service for finding in findings}]
    if done.returncode != 0 or silent:
        why = f"exit code {done.returncode}\n{done.stderr[-4000:]}"
        findings += [Finding(service, "token", "failed", why) for service in silent or SERVICES]
    return findings


def _print_table(findings: Sequence[Finding]) -> None:
    """A row for each step and a column for each service; below it what was not simply good."""
    steps = list(dict.fromkeys(finding.step for finding in findings))
    verdicts: Mapping[tuple[str, str], str] = {(found.step, found.service): found.verdict for found in findings}
    print(f"  {'':20}" + "".join(f"{service:13}" for service in SERVICES))
    for step in steps:
        row = [MARKS.get(verdicts.get((step, service), ""), "") for service in SERVICES]
        print(f"  {step:20}" + "".join(f"{mark:13}" for mark in row))
    for detail in dict.fromkeys(found.detail for found in findings if found.verdict == "defect"):
        print(f"  known: {detail}")
    for found in findings:
        if found.verdict == "failed":
            print(f"  FAILED {found.step} at {found.service}: {found.detail}")
