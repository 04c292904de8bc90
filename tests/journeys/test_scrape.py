"""What Prometheus sees of a suite that works: every figure that dashboards and alerts stand on, and nobody's name."""

import asyncio
import re
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import yaml
from stepwell_shared.settings import SERVICES

from tests.support.scraping import Sample, names, samples, types
from tests.support.suite import Suite

ROOT = Path(__file__).parents[2]
TELEMETRY, RUNBOOKS = ROOT / "deploy" / "telemetry", ROOT / "docs" / "runbooks"
PHQ_9_OF_16 = (2, 2, 2, 2, 2, 2, 2, 2, 0)
# What Prometheus itself says of what it scrapes.
ITS_OWN = {"up"}
METRIC = re.compile(r"\b(?:stepwell|process)_[a-z_]+\b|\bup\b")


async def scraped(suite: Suite) -> dict[str, str]:
    """The page of figures of each service."""
    async with suite.clinic() as clinic:
        pages = {}
        for service in SERVICES:
            root = suite.deployment.url_of(service).removesuffix(f"/{service}/fhir")
            answer = await clinic.http.request("GET", f"{root}/metrics")
            assert answer.status_code == 200
            pages[service] = answer.text
        return pages


def value(page: str, name: str, **labels: str) -> float:
    """The sum of the samples that have these labels."""
    return sum(each.value for each in samples(page) if each.name == name and labels.items() <= each.labels.items())


def queries() -> list[str]:
    """Every expression of the dashboards and the alert rules."""
    found: list[str] = []
    for path in sorted((TELEMETRY / "dashboards").glob("*.json")):
        found += [target["expr"] for panel in orjson.loads(path.read_bytes())["panels"] for target in panel["targets"]]
    groups: list[dict[str, Any]] = yaml.safe_load((TELEMETRY / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return found + [str(rule["expr"]) for group in groups for rule in group["rules"]]


async def test_a_main_job_is_counted_where_it_was_done_and_every_query_finds_its_figure(suite: Suite) -> None:
    before = await scraped(suite)
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        assert (await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient))).status_code == 201
        await clinic.wait_for("referral", "Task", subject=f"Patient/{patient['id']}")
        assert (await clinic.call("GET", "routing", "ServiceRequest/nobody")).status_code == 404
        assert (await clinic.call("GET", "routing", "Basic/nobody")).status_code == 404
    after = await scraped(suite)

    def more(service: str, name: str, **labels: str) -> float:
        return value(after[service], name, **labels) - value(before[service], name, **labels)

    created = {"interaction": "create", "resource_type": "QuestionnaireResponse", "status": "2xx"}
    assert more("screening", "stepwell_request_seconds_count", **created) >= 1
    assert more("screening", "stepwell_request_seconds_bucket", le="+Inf", **created) >= 1
    missed = {"interaction": "read", "status": "4xx"}
    assert more("routing", "stepwell_request_seconds_count", resource_type="ServiceRequest", **missed) >= 1
    assert more("routing", "stepwell_decisions_total", tier="tier-3", move="assign") >= 1
    assert more("routing", "stepwell_rules_fired_total", tier="tier-3", rule="FLOOR-PHQ9-T3") >= 1
    notified = {"interaction": "notify", "resource_type": "Bundle", "status": "2xx"}
    assert all(more(each, "stepwell_request_seconds_count", **notified) >= 1 for each in ("referral", "measurement"))
    there = set.union(*(names(page) for page in after.values())) | ITS_OWN
    unknown = {query: sorted(set(METRIC.findall(query)) - there) for query in queries()}
    assert {query: missing for query, missing in unknown.items() if missing} == {}
    assert all(METRIC.search(query) for query in queries())
    labelled = [each for page in after.values() for each in samples(page) if patient["id"] in str(each.labels)]
    assert labelled == []


async def test_no_client_makes_series_up(suite: Suite) -> None:
    before = await scraped(suite)
    async with suite.clinic() as clinic:
        for path in ("Made-up/1", "Account/1", "Patient/$made-up", "Patient/a/b/c/d", "Observation?made=up", "../made"):
            await clinic.call("GET", "screening", path)
            await clinic.call("TRACE", "screening", path)
    after = await scraped(suite)
    fresh = labels_of(after["screening"]) - labels_of(before["screening"])
    assert {"made", "Account"} & {part for each in fresh for part in re.split(r"[^a-zA-Z]", each)} == set()
    assert len(fresh) < 100


async def test_many_who_scrape_at_once_find_everything_and_nobody_waiting_for_the_database(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        root = suite.deployment.url_of("referral").removesuffix("/referral/fhir")
        pages = await asyncio.gather(*(clinic.http.request("GET", f"{root}/metrics") for _ in range(50)))
    assert {each.status_code for each in pages} == {200}
    assert all(value(each.text, "stepwell_database_waiting") == 0 for each in pages)
    assert types(pages[0].text)["stepwell_request_seconds"] == "histogram"


async def test_what_runbooks_ask_the_services_and_postgresql_can_be_asked(suite: Suite) -> None:
    pages = [path.read_text(encoding="utf-8") for path in sorted(RUNBOOKS.glob("*.md"))]
    asked = [block for page in pages for block in re.findall(r"```sql\n(.*?)```", page, re.S)]
    assert len(asked) >= 4
    connection = await asyncpg.connect(suite.deployment.databases["referral"].runtime)
    try:
        for statement in asked:
            assert await connection.fetch(statement)
    finally:
        await connection.close()
    addresses = {each for page in pages for each in re.findall(r"`GET /(\w+)/fhir/([^`]+)`", page)}
    assert addresses
    async with suite.clinic() as clinic:
        for service, path in addresses:
            answer = await clinic.call("GET", service, path, headers={"Prefer": "handling=strict"})
            assert answer.status_code == 200, path


def labels_of(page: str) -> set[str]:
    def key(each: Sample) -> str:
        return f"{each.labels.get('interaction')} {each.labels.get('resource_type')} {each.labels.get('status')}"

    return {key(each) for each in samples(page) if each.name == "stepwell_request_seconds_count"}
