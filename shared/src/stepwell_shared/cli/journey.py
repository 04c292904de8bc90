"""One patient's journey through the running suite, told step by step: real HTTP, real tokens, real waits.

What it prints is meant for somebody who sees Stepwell for the first time.
"""

import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.client import SuiteClient, filled, register
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.worklist import worklist_link
from stepwell_shared.http_client import http_client

TENANT = "demo"
CLINICIAN = f"{TENANT}.clinic"
COORDINATOR = f"{TENANT}.coordinator"
FIRST_VISIT = {"phq-9": (2, 2, 2, 2, 2, 2, 2, 2, 0), "gad-7": (2, 2, 2, 1, 1, 2, 1)}
SECOND_VISIT = (1, 1, 1, 1, 1, 1, 1, 0, 0)

Resource = dict[str, Any]


async def play(deployment: LocalDeployment, console: Console) -> None:
    """Plays and prints the journey. Raises SetupError when something does not come."""
    await register(deployment, CLINICIAN, "clinician", "Practitioner/demo-clinician")
    await register(deployment, COORDINATOR, "coordinator", "Practitioner/demo-coordinator")
    async with http_client(timeout_seconds=30) as http:
        clinic = SuiteClient(deployment, http, CLINICIAN)
        patient = await _first_visit(clinic, console)
        proposal = await _proposal(clinic, console, patient)
        await _referral(clinic, console, patient, proposal)
        await _second_visit(clinic, console, patient)
    _where_to_look(deployment, console, patient, proposal)
    await _worklist(deployment, console)


async def _first_visit(clinic: SuiteClient, console: Console) -> Resource:
    """A patient fills in two questionnaires in the practice."""
    person = {
        "resourceType": "Patient",
        "identifier": [{"system": f"{CANONICAL}/NamingSystem/demo", "value": secrets.token_hex(4)}],
        "name": [{"family": "Example", "given": ["Robin"]}],
        "birthDate": "1984-05-12",
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}}],
    }
    patient = await clinic.create("screening", person)
    console.rule("[bold]One patient's journey[/bold]", align="left")
    console.print("\n[bold]1. Robin fills in two questionnaires in the practice.[/bold]")
    now = datetime.now(UTC)
    for instrument, weights in FIRST_VISIT.items():
        await _submit(clinic, patient, instrument, weights, now)
    _say(console, "The practice's system posts the answers to screening, which checks and scores them.")
    scores = await clinic.wait_for("measurement", "Observation", count=2, subject=_reference(patient))
    table = Table("score", "points", "band", box=None, padding=(0, 3, 0, 3))
    for score in sorted(scores, key=lambda each: str(each["code"]["text"])):
        table.add_row(score["code"]["text"], str(score["valueQuantity"]["value"]), _band(score))
    console.print(table)
    return patient


async def _submit(
    clinic: SuiteClient, patient: Resource, instrument: str, weights: tuple[int, ...], authored: datetime
) -> None:
    canonical = f"{CANONICAL}/Questionnaire/{instrument}"
    questionnaire = (await clinic.search("screening", "Questionnaire", url=canonical))[0]
    identifier = f"urn:uuid:{uuid.uuid4()}"
    response = filled(questionnaire, weights, patient=_reference(patient), authored=authored, identifier=identifier)
    await clinic.create("screening", response)


async def _proposal(clinic: SuiteClient, console: Console, patient: Resource) -> Resource:
    """Routing proposes a tier and says why."""
    found = await clinic.wait_for("routing", "ServiceRequest", status="active", subject=_reference(patient))
    proposal = found[0]
    console.print("\n[bold]2. Routing proposes the least intensive care that is likely to help.[/bold]")
    rules = ", ".join(each["coding"][0]["code"] for each in proposal["reasonCode"])
    _say(console, f"{proposal['category'][0]['text']} [dim](rule {rules})[/dim]")
    _say(console, f"For Robin: {proposal['patientInstruction']}")
    _say(console, f"It is looked at again by {proposal['occurrencePeriod']['end'][:10]}.")
    return proposal


async def _referral(clinic: SuiteClient, console: Console, patient: Resource, proposal: Resource) -> None:
    """Referral has a place ready; the clinician accepts, and it is requested."""
    draft = (await clinic.wait_for("referral", "Task", status="draft", subject=_reference(patient)))[0]
    console.print("\n[bold]3. Referral has a place ready, with an honest wait and help until then.[/bold]")
    _say(console, str(draft["description"]))
    for note in draft.get("note", []):
        _say(console, note["text"])
    for offer in draft.get("input", []):
        if offer["type"]["coding"][0]["code"] == "interim-support":
            _say(console, f"Until then: {offer['valueCodeableConcept']['text']}")
    console.print("\n[bold]4. The clinician accepts the proposal; the referral goes out.[/bold]")
    accepted = await clinic.call("POST", "routing", f"ServiceRequest/{proposal['id']}/$accept")
    accepted.raise_for_status()
    subject = _reference(patient)
    task = (await clinic.wait_for("referral", "Task", status="requested", code="tier-referral", subject=subject))[0]
    _say(console, f"ServiceRequest/{proposal['id']} is now a {accepted.json()['intent']};")
    _say(console, f"Task/{task['id']} is {task['status']}.")


async def _second_visit(clinic: SuiteClient, console: Console, patient: Resource) -> None:
    """Weeks later the same questionnaire shows whether it helps."""
    later = datetime.now(UTC) + timedelta(seconds=1)
    await _submit(clinic, patient, "phq-9", SECOND_VISIT, later)
    changes = await clinic.wait_for(
        "measurement",
        "Observation",
        code=f"{CANONICAL}/CodeSystem/reliable-change|phq-9-reliable-change",
        subject=_reference(patient),
    )
    change = changes[0]
    console.print("\n[bold]5. At the next visit Robin fills in the PHQ-9 again.[/bold]")
    outcome = str(change["valueCodeableConcept"]["coding"][0]["display"])
    points = change["component"][0]["valueQuantity"]["value"]
    _say(console, f"Measurement: {outcome.lower()} ({points} points since the first).")


def _where_to_look(deployment: LocalDeployment, console: Console, patient: Resource, proposal: Resource) -> None:
    console.print()
    console.rule("[bold]Where to look[/bold]", align="left")
    console.print()
    for service in deployment.ports:
        base = deployment.url_of(service)
        console.print(f"   {service:<12} {base.removesuffix('/fhir')}/docs   {base}/metadata", soft_wrap=True)
    console.print("\n   Tokens live five minutes, so each line asks for one:\n")
    reference = _reference(patient)
    for service, path in (
        ("screening", f"QuestionnaireResponse?patient={reference}"),
        ("measurement", f"Observation?patient={reference}&_sort=-date"),
        ("routing", f"ServiceRequest/{proposal['id']}/_history"),
        ("referral", f"Task?patient={reference}"),
    ):
        console.print(
            f'   curl -s -H "Authorization: Bearer $(.venv/bin/stepwell token {CLINICIAN})" \\\n'
            f"     '{deployment.url_of(service)}/{path}'",
            soft_wrap=True,
        )


async def _worklist(deployment: LocalDeployment, console: Console) -> None:
    """What a coordinator does with the referral, in a browser."""
    link = await worklist_link(deployment.access(), COORDINATOR)
    console.print("\n   The coordinator's worklist with Robin's referral; this link opens once, within five minutes:\n")
    console.print(f"   {link}", soft_wrap=True)
    console.print(f"\n   Another one:  .venv/bin/stepwell worklist {COORDINATOR}", soft_wrap=True)


def _say(console: Console, text: str) -> None:
    """A paragraph, set in a little from the left."""
    console.print(Padding(text, (0, 0, 0, 3)), width=min(console.width, 110))


def _reference(patient: Resource) -> str:
    return f"Patient/{patient['id']}"


def _band(score: Resource) -> str:
    return str(score["interpretation"][0]["text"]) if "interpretation" in score else ""
