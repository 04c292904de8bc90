"""`stepwell thresholds`: tries other values of a cut-off of a policy, and puts what came of it where leaders read it.

Routing simulates each value on people of the past and stores nothing; its reports go to measurement, whose page sets
them beside what became of people near the cut-off. Nobody is moved, and no policy is changed.
"""

import asyncio
import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import uuid4

import orjson
import typer

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.asking import PatientClient, Token, said
from stepwell_shared.cli.errors import SetupError, told_plainly
from stepwell_shared.http_client import HttpResponse, http_client

PARAMETER = f"{CANONICAL}/StructureDefinition/policy-parameter"
SYSTEM = f"{CANONICAL}/NamingSystem/threshold-trial"
FHIR = "application/fhir+json"
# Routing makes one simulation at a time and says so; a simulation of 100,000 people takes minutes.
SECONDS_MAX = 600.0

Resource = dict[str, Any]


def in_force(policy: Resource, name: str) -> int:
    """The value of a parameter of a policy. Raises SetupError for one that is no whole number, or is not there."""
    for parameter in _parameters(policy, name):
        value = _part(parameter, "value").get("valueInteger")
        if isinstance(value, int):
            return value
    raise SetupError(f"{policy.get('id')} has no parameter {name} that is a whole number.")


def draft_with(policy: Resource, name: str, value: int) -> Resource:
    """The policy with another value of a parameter; its bounds make room for it, since nothing is published."""
    draft = copy.deepcopy(policy)
    for parameter in _parameters(draft, name):
        _part(parameter, "value")["valueInteger"] = value
        for bound, closest in (("minimum", min), ("maximum", max)):
            part = _part(parameter, bound)
            if "valueInteger" in part:
                part["valueInteger"] = closest(part["valueInteger"], value)
    return draft


def question(draft: Resource, asked: Mapping[str, str], capacities: Iterable[str]) -> Resource:
    """What routing is asked."""
    rows: list[Resource] = [{"name": "policy", "resource": draft}]
    rows += [{"name": name, "valueString": value} for name, value in asked.items() if value]
    rows += [{"name": "capacity", "valueString": each} for each in capacities]
    return {"resourceType": "Parameters", "parameter": rows}


async def try_values(
    settings: AccessSettings,
    client_id: str,
    policy_name: str,
    name: str,
    values: Sequence[int],
    asked: Mapping[str, str],
    capacities: Sequence[str],
    key_file: Path | None = None,
) -> list[int]:
    """Tries the values, and the one in force; says which were tried.

    Raises SetupError when there is no token, or a service refuses or is busy for too long.
    """
    token = Token(settings, client_id, key_file)
    routing, measurement = settings.text("routing_url"), settings.text("measurement_url")
    async with http_client(timeout_seconds=SECONDS_MAX) as http:
        client = PatientClient(http, token.text, SECONDS_MAX, nobody_answers="Is the suite running?")
        policy = await _active(client, routing, policy_name)
        now = in_force(policy, name)
        tried = sorted({now, *(values or (now - 1, now + 1))})
        for value in tried:
            body = question(draft_with(policy, name, value), asked, capacities)
            answer = await _asked(client, "POST", f"{routing}/PlanDefinition/$simulate", body)
            identifier = {"system": SYSTEM, "value": f"{policy_name.rpartition('/')[2]}/{name}/{value}/{now}"}
            report = {**answer.json(), "identifier": [identifier]}
            await _asked(client, "POST", f"{measurement}/MeasureReport", report)
    return tried


async def _active(client: PatientClient, routing: str, policy_name: str) -> Resource:
    """The version of a policy that is in force. Raises SetupError."""
    url = policy_name if "://" in policy_name else f"{CANONICAL}/PlanDefinition/{policy_name}"
    query = urlencode({"url": url, "status": "active", "_sort": "-date", "_count": 1})
    found = await _asked(client, "GET", f"{routing}/PlanDefinition?{query}")
    policy: Resource | None = next((each["resource"] for each in found.json().get("entry", ())), None)
    if policy is None:
        raise SetupError(f"No version of {policy_name} is in force.")
    return policy


async def _asked(client: PatientClient, method: str, url: str, body: Resource | None = None) -> HttpResponse:
    """An answer that is none of a refusal. Raises SetupError."""
    headers, content = {"Accept": FHIR}, None
    if body is not None:
        headers |= {"Content-Type": FHIR, "Idempotency-Key": str(uuid4())}
        content = orjson.dumps(body)
    answer = await client.ask(method, url, content=content, headers=headers)
    if not answer.is_success:
        raise SetupError(f"{url} refuses ({answer.status_code}): {said(answer)}")
    return answer


def _parameters(policy: Resource, name: str) -> list[Resource]:
    return [
        each
        for each in policy.get("extension", ())
        if each.get("url") == PARAMETER and _part(each, "name").get("valueString") == name
    ]


def _part(extension: Resource, url: str) -> Resource:
    found: Resource = next((each for each in extension.get("extension", ()) if each.get("url") == url), {})
    return found


def add_thresholds_command(app: typer.Typer) -> None:
    """Adds the command `thresholds`."""

    @app.command("thresholds")
    def command(
        client: Annotated[str, typer.Argument(help="a client of the role leader")],
        parameter: Annotated[str, typer.Argument(help="the cut-off, such as phq9_tier_3_minimum")],
        policy: Annotated[str, typer.Option(help="its name, or its canonical URL")] = "stepped-care",
        value: Annotated[list[int] | None, typer.Option(help="many; else one below and one above")] = None,
        capacity: Annotated[list[str] | None, typer.Option(help="many: tier-3:4.5:20, starts a week, waiting")] = None,
        start: Annotated[str, typer.Option(help="the first day of people that are looked at; else 26 weeks ago")] = "",
        end: Annotated[str, typer.Option(help="the last day; else today")] = "",
        cohort: Annotated[str, typer.Option(help="recorded or synthetic")] = "recorded",
        key_file: Annotated[Path | None, typer.Option(help="its private key; else the one that is kept here")] = None,
    ) -> None:
        """Try other values of a cut-off on people of the past, for leaders to review."""
        asked = {"start": start, "end": end, "cohort": cohort}
        work = try_values(AccessSettings(), client, policy, parameter, value or (), asked, capacity or (), key_file)
        with told_plainly():
            tried = asyncio.run(work)
        typer.echo(f"tried {', '.join(map(str, tried))}: see /measurement/dashboard/thresholds")
