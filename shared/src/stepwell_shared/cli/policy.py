"""`stepwell policy`: a clinical lead's policies at the terminal, by the operations that routing has for them.

See docs/policies.md for the document, docs/simulation.md for what a trial says.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from stepwell_shared.auth.keys import KeyFileError
from stepwell_shared.auth.service_tokens import TokenRequestError
from stepwell_shared.cli.access import AccessSettings, fetch_token
from stepwell_shared.cli.errors import FAILED, SetupError, told_plainly
from stepwell_shared.http_client import HttpClient, HttpError, http_client

FHIR_JSON = "application/fhir+json"
Json = dict[str, Any]
SHADOW: Json = {"status": "active", "experimental": True}
STATES: dict[str, Json] = {
    "draft": {"status": "draft"},
    "shadow": SHADOW,
    "active": {"status": "active", "experimental": False},
    "retired": {"status": "retired"},
}
BROKEN = "safety-promises-broken"
NOT_AN_ID = re.compile(r"[^A-Za-z0-9.-]+")

Answer = TypeVar("Answer")
Client = Annotated[str, typer.Option(metavar="TENANT.NAME", help="as whom, such as north.lead")]
KeyFile = Annotated[Path | None, typer.Option(help="its private key; else the one that is kept here")]
Policy = Annotated[
    str, typer.Argument(metavar="POLICY", help="a file with a PlanDefinition, or the id of a stored one")
]

commands = typer.Typer(no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of a tenant, over HTTP with a token of somebody who may."""

    http: HttpClient
    base_url: str
    token: str = field(repr=False)

    async def send(self, method: str, path: str, body: Json | None = None, **headers: str) -> Json:
        """What routing answers. Raises SetupError with each problem and its place when it refuses."""
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": FHIR_JSON, **headers}
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = await self.http.request(method, f"{self.base_url}/{path}", content=content, headers=sent)
        except HttpError as error:
            raise SetupError("Routing does not answer: is it running, and is STEPWELL_ROUTING_URL right?") from error
        if answer.is_error:
            raise SetupError(problems(answer.status_code, answer.json() if answer.content else {}))
        found: Json = answer.json() if answer.content else {}
        return found

    async def read(self, policy: str) -> Json:
        """The document in a file, or the stored one of this id."""
        document = read_file(Path(policy))
        if document is not None:
            return document
        if "|" not in policy:
            return await self.send("GET", f"PlanDefinition/{policy}")
        for each in await self.all():
            if f"{each['url']}|{each['version']}".endswith(f"/{policy}"):
                return await self.send("GET", f"PlanDefinition/{each['id']}")
        raise SetupError(f"There is no policy {policy}: `stepwell policy list` has them.")

    async def all(self) -> list[Json]:
        """Those of the tenant and those that ship: id, url, version and how they stand."""
        elements = "url,version,status,experimental"
        bundle = await self.send("GET", f"PlanDefinition?_count=200&_sort=url,version&_elements={elements}")
        return [entry["resource"] for entry in bundle.get("entry", [])]

    async def validate(self, document: Json) -> None:
        """Asks whether it could leave draft; nothing is stored. Raises SetupError with what is wrong."""
        mode = "update" if document.get("meta") else "create"
        outcome = await self.send("POST", f"PlanDefinition/$validate?mode={mode}", {**document, **SHADOW})
        if any(issue["severity"] in {"error", "fatal"} for issue in outcome.get("issue", [])):
            raise SetupError(problems(422, outcome))

    async def simulate(self, document: Json, parameters: Sequence[Json]) -> Json:
        """The MeasureReport of a trial; nothing is stored and nobody is moved."""
        given = [{"name": "policy", "resource": document}, *parameters]
        return await self.send("POST", "PlanDefinition/$simulate", {"resourceType": "Parameters", "parameter": given})

    async def publish(self, document: Json, state: str) -> Json:
        """Stores the document in this state: shadow, active or retired, or draft."""
        try:
            kept = await self.send("GET", f"PlanDefinition/{document['id']}")
        except SetupError:
            kept = {}
        unless = {"If-Match": f'W/"{kept["meta"]["versionId"]}"'} if kept else {}
        changed = {**document, **STATES[state]}
        if state in {"draft", "retired"}:
            changed["experimental"] = kept.get("experimental", False)
        return await self.send("PUT", f"PlanDefinition/{document['id']}", changed, **unless)


def read_file(path: Path) -> Json | None:
    """The PlanDefinition of a file, with an id; None where there is no file. Raises SetupError."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SetupError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("resourceType") != "PlanDefinition":
        raise SetupError(f"{path} holds no PlanDefinition.")
    return {"id": id_of(document), **document}


def id_of(document: Json) -> str:
    """The id under which a document without one is stored: the end of its url, and its version."""
    name = f"{str(document.get('url', '')).rpartition('/')[2]}-{document.get('version', '')}"
    return NOT_AN_ID.sub("-", name).strip("-")[:64]


def problems(status: int, outcome: Json) -> str:
    """Each problem of a refusal on a line, with its place."""
    issues = outcome.get("issue", [])
    if not issues:
        return f"Routing answered {status}."
    return "\n".join(
        f"{', '.join(each.get('expression', ['request']))}: {each.get('diagnostics', '')}" for each in issues
    )


def rows_of(report: Json) -> Iterator[tuple[str, str, str]]:
    """What a trial says: figure, of whom, how much. The first figure is what nobody may break."""
    for group in report["group"]:
        name = group["code"]["text"]
        counts = {each["code"]["coding"][0]["code"]: each.get("count") for each in group.get("population", [])}
        total = counts.get("numerator", counts.get("initial-population"))
        yield name, "", "" if total is None else str(total)
        for stratifier in group.get("stratifier", []):
            for stratum in stratifier.get("stratum", []):
                yield name, _who(stratum), _how_much(stratum)


def _who(stratum: Json) -> str:
    if "value" in stratum:
        return str(stratum["value"]["text"])
    return ", ".join(f"{each['code']['text']} {each['value']['text']}" for each in stratum.get("component", []))


def _how_much(stratum: Json) -> str:
    if "measureScore" in stratum:
        return f"{stratum['measureScore']['value']} {stratum['measureScore'].get('unit', '')}".strip()
    return ", ".join(str(each["count"]) for each in stratum.get("population", []) if "count" in each)


def broken(report: Json) -> int:
    """How many would lose what safety promises them."""
    (group,) = [each for each in report["group"] if each["code"]["text"] == BROKEN]
    counts = {each["code"]["coding"][0]["code"]: each["count"] for each in group["population"]}
    return int(counts["numerator"])


@commands.command("list")
def show_all(client: Client, key_file: KeyFile = None) -> None:
    """List the policies of a tenant and those that ship, with how they stand."""

    table = Table("id", "policy", "stands", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for each in _run(client, key_file, Policies.all):
        is_shadow = each["status"] == "active" and each.get("experimental")
        table.add_row(each["id"], f"{each['url']}|{each['version']}", "shadow" if is_shadow else each["status"])
    Console(highlight=False, width=None if Console().is_terminal else 400).print(table)


@commands.command("show")
def show(policy: Policy, client: Client, key_file: KeyFile = None) -> None:
    """Print a policy as JSON, to read it or to begin a new version from it."""
    typer.echo(json.dumps(_run(client, key_file, lambda policies: policies.read(policy)), indent=2, ensure_ascii=False))


@commands.command("validate")
def validate(policy: Policy, client: Client, key_file: KeyFile = None) -> None:
    """Say what would be refused, each problem with its place. Nothing is stored. Exit code 1: something is wrong."""

    async def asked(policies: Policies) -> Json:
        document = await policies.read(policy)
        await policies.validate(document)
        return document

    document = _run(client, key_file, asked)
    typer.echo(f"{document['url']}|{document['version']} can be published.")


@commands.command("simulate")
def simulate(
    policy: Policy,
    client: Client,
    key_file: KeyFile = None,
    cohort: Annotated[str, typer.Option(help="recorded, synthetic, or live: what it decided in shadow")] = "recorded",
    people: Annotated[int | None, typer.Option(help="how many, of synthetic ones")] = None,
    seed: Annotated[int | None, typer.Option(help="the same seed gives the same people")] = None,
    start: Annotated[str | None, typer.Option(help="of the time that is looked at, as a date")] = None,
    end: Annotated[str | None, typer.Option(help="its end")] = None,
    capacity: Annotated[
        list[str] | None, typer.Option(help="step:starts-per-week:waiting, such as tier-3:4.5:20; repeatable")
    ] = None,
    horizon: Annotated[int | None, typer.Option(help="weeks to look ahead for waits")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the MeasureReport")] = False,
) -> None:
    """Try a policy on past or made-up people: what would change, for whom. Exit code 1: a safety promise is broken."""
    given: list[Json] = [{"name": "cohort", "valueString": cohort}]
    given += [
        {"name": name, "valueInteger": n} for name, n in (("people", people), ("seed", seed), ("horizon", horizon)) if n
    ]
    given += [{"name": name, "valueDateTime": day} for name, day in (("start", start), ("end", end)) if day]
    given += [{"name": "capacity", "valueString": each} for each in capacity or ()]

    async def tried(policies: Policies) -> Json:
        return await policies.simulate(await policies.read(policy), given)

    report = _run(client, key_file, tried)
    if as_json:
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _print(report)
    if broken(report):
        raise typer.Exit(FAILED)


@commands.command("publish")
def publish(
    policy: Policy,
    client: Client,
    key_file: KeyFile = None,
    to: Annotated[str, typer.Option(help=f"one of {', '.join(STATES)}")] = "shadow",
) -> None:
    """Store a policy: as a draft, in shadow beside the one in force, in force (after shadow), or retired."""

    async def stored(policies: Policies) -> Json:
        if to not in STATES:
            raise SetupError(f"There is no state {to}: use {', '.join(STATES)}.")
        return await policies.publish(await policies.read(policy), to)

    document = _run(client, key_file, stored)
    typer.echo(f"{document['url']}|{document['version']} is stored as {document['id']}: {to}.")


def add_policy_commands(app: typer.Typer) -> None:
    """Adds the command `policy`."""
    app.add_typer(commands, name="policy", help="Policies: read, check, try and publish what decides on steps.")


def _print(report: Json) -> None:
    console = Console(highlight=False)
    for paragraph in re.findall(r"<p>(.*?)</p>", report.get("text", {}).get("div", ""), re.DOTALL):
        console.print(unescape(re.sub(r"<[^>]+>", "", paragraph)), markup=False)
    table = Table("figure", "of whom", "", box=None, header_style="bold", padding=(0, 2, 0, 0))
    previous = ""
    for name, who, how_much in rows_of(report):
        table.add_row("" if name == previous else name, who, how_much)
        previous = name
    console.print(table)


def _run(client: str, key_file: Path | None, ask: Callable[[Policies], Awaitable[Answer]]) -> Answer:
    """Asks routing as this client; what stands in the way is said in a sentence."""

    async def asked() -> Answer:
        settings = AccessSettings()
        token = await fetch_token(settings, client, key_file=key_file)
        async with http_client(timeout_seconds=120) as http:
            return await ask(Policies(http, settings.text("routing_url").rstrip("/"), token))

    with told_plainly(KeyFileError, TokenRequestError):
        return asyncio.run(asked())
