"""What `BENCH=measures` measures against: a loaded region, measurement as a process, and new scores for it."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from pydantic import SecretStr
from stepwell_screening import builders
from stepwell_screening.instruments import instruments
from stepwell_shared.auth.keys import load_private_key
from stepwell_shared.auth.service_tokens import request_token, service_client_id
from stepwell_shared.canonical import CANONICAL, topic
from stepwell_shared.cli.bootstrap import database_name
from stepwell_shared.cli.demo.courses import Answers
from stepwell_shared.cli.demo.region import Region
from stepwell_shared.cli.demo.resources import Forms
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.processes import ServiceProcesses
from stepwell_shared.events.notification import Addressee, NumberedEvent, notification
from stepwell_shared.events.outbox import Entry
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.http_client import http_client
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime, open_runtime
from stepwell_shared.settings import SERVICES, Settings

from tests.bench.job_stage import quiet
from tests.bench.load import ExhaustedError, HttpConnection, HttpJob, LoadProcess
from tests.bench.loading import Advance
from tests.bench.population import LARGE, SERVICE
from tests.bench.population_load import Load, load_people, offline_runtime
from tests.bench.population_rows import CARE, OBSERVATIONS, PeopleRows
from tests.bench.recording import FloorWrite, floor_write, new_rows, snapshot
from tests.bench.suite import BenchSuite, prepare

FOLDER = Path(".stepwell/bench-measures")
SEED = 1
RECORDER = "recorder"
LEFT_RUNNING = ("screening", SERVICE)
CLIENTS, TRIES = 8, 6
PLACE_OF_NUMBER = 77_777_777
PERSON, NUMBER = "00000000-0000-7000-8000-000000000000", "@NUMBER@"
RESPONSE, SCORE, SUBSCRIPTION = "@RESPONSE@", "@SCORE@", "@SUBSCRIPTION@"
# A PHQ-9 of 18 points without thoughts of self-harm: news for nearly everybody.
WEIGHTS = (3, 3, 2, 2, 2, 2, 2, 2, 0)


@contextmanager
def measures_suite(folder: Path, people: int, advance: Advance) -> Iterator[BenchSuite]:
    """Loads what is not there yet, starts screening, which gives tokens, and measurement, and stops them afterwards."""
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    postgres = EmbeddedPostgres(folder / "postgres", say=lambda _: None)
    with postgres:
        advance("preparing the databases", 0, 1)
        deployment = asyncio.run(prepare(folder, postgres, [LARGE, RECORDER]))
        url = postgres.url(database_name(SERVICE))
        for kind in (OBSERVATIONS, CARE):
            asyncio.run(load_people(url, Load(Region(SEED, people), LARGE, kind), advance))
        asyncio.run(_without_subscribers(url))
        commands = [each for each in deployment.commands() if each.name in LEFT_RUNNING]
        with ServiceProcesses(commands, folder / "logs") as processes:
            processes.wait_until_ready()
            yield BenchSuite(folder, postgres, deployment, processes)


async def _without_subscribers(url: str) -> None:
    """What is told stays in the outbox: nobody is there to hear of it, and it would be tried again and again."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("UPDATE subscription_state SET status = 'off'")
    finally:
        await connection.close()


@asynccontextmanager
async def in_process(suite: BenchSuite) -> AsyncIterator[Runtime]:
    """Measurement's running parts in this process, beside the one that serves: figures are counted through them."""
    service, deployment = service_named(SERVICE), suite.deployment
    settings = Settings.model_validate(
        {
            "database_url": SecretStr(deployment.databases[SERVICE].runtime),
            "service_key_file": Path(deployment.environment(SERVICE)["STEPWELL_SERVICE_KEY_FILE"]),
            "issuer_url": deployment.issuer_url,
            "database_connections_max": 4,
            **{f"{name}_url": deployment.url_of(name) for name in SERVICES},
        }
    )
    runtime = Runtime()
    async with open_runtime(service, service.resources(runtime), runtime, settings) as opened:
        yield opened


@dataclass
class ScoreJob(HttpJob):
    """Each client is a subscription of its own and counts its events; each score is of another of the people."""

    def _sender(self, connection: HttpConnection, values: Iterator[str]) -> Callable[[], Coroutine[Any, Any, None]]:
        name, count = new_id(), 0

        async def call() -> None:
            nonlocal count
            person = next(values, None)
            if person is None:
                raise ExhaustedError
            count += 1
            told = ((PERSON, person), (RESPONSE, new_id()), (SCORE, new_id()), (SUBSCRIPTION, name))
            body = self.request.replace(NUMBER.encode(), str(count).encode())
            for place, value in told:
                body = body.replace(place.encode(), value.encode())
            head = f"{self.marker}Content-Length: {len(body)}\r\n\r\n"
            status, answer = await connection.send(head.encode() + body)
            if status != self.status:
                raise RuntimeError(f"measurement answered {status} instead of {self.status}: {answer[:300]!r}")

        return call


async def score_job(suite: BenchSuite, tenant: str, people: Sequence[str], seconds: float) -> ScoreJob:
    """New scores of these people, told as screening tells them."""
    head = await _head(suite, tenant)
    return ScoreJob(suite.deployment.ports[SERVICE], _told(suite), head, people, 200, CLIENTS, seconds)


def people_of(people: int, many: int) -> list[str]:
    """The ids of people from everywhere in the region, none twice, others each time."""
    load = Load(Region(SEED, people), LARGE, CARE)
    rows = PeopleRows(load.region, LARGE, offline_runtime(load.urls), dict(load.urls))
    chosen = random.sample(range(people), min(many, people))
    return [rows.patient_id(load.region.person(number)) for number in chosen]


def _told(suite: BenchSuite) -> bytes:
    """A notification of one PHQ-9, with places for what differs."""
    canonical = f"{CANONICAL}/Questionnaire/phq-9"
    instrument = next(each for name, each in instruments().items() if name.startswith(f"{canonical}|"))
    urls = {name: suite.deployment.url_of(name) for name in SERVICES}
    response_url, now = f"{urls['screening']}/QuestionnaireResponse/{RESPONSE}", datetime.now(UTC)
    subject = {"reference": f"{urls['screening']}/Patient/{PERSON}"}
    answers = Forms({"phq-9": instrument.questionnaire}).response(Answers("phq-9", now, WEIGHTS), name={}, subject={})
    (result,) = instrument.score(answers, None)
    observation = builders.score_observation(
        observation_id=SCORE,
        definition=instrument.definition,
        result=result,
        response_url=response_url,
        subject=subject,
        effective=now.isoformat(timespec="seconds"),
        issued=now,
    )
    observation["meta"] = {"source": f"{response_url}/_history/1"}
    focus = {"resourceType": "QuestionnaireResponse", "id": RESPONSE, "meta": {"versionId": "1"}, "subject": subject}
    told = ((response_url, focus), (f"{urls[SERVICE]}/Observation/{SCORE}", observation))
    entries = [Entry(url, msgspec.Raw(encode(resource))) for url, resource in told]
    subscription = f"{urls['screening']}/Subscription/{SUBSCRIPTION}"
    addressee = Addressee(subscription, topic("score-finalized"), "active", "full-resource")
    numbered = [NumberedEvent(PLACE_OF_NUMBER, now, entries)]
    text = notification(addressee, "event-notification", numbered, events_total=1, sent=now).decode()
    return text.replace(str(PLACE_OF_NUMBER), NUMBER).encode()


async def _head(suite: BenchSuite, tenant: str) -> str:
    """The head of a request of screening, without the length of its body."""
    deployment = suite.deployment
    key = load_private_key(Path(deployment.environment("screening")["STEPWELL_SERVICE_KEY_FILE"]))
    async with http_client(timeout_seconds=30) as http:
        client_id = service_client_id(tenant, "screening")
        token = await request_token(http, deployment.issuer_url, client_id, key, now=time.time())
    lines = [
        f"POST /{SERVICE}/notifications HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token.text}",
        "Content-Type: application/fhir+json",
    ]
    return "\r\n".join(lines) + "\r\n"


async def score_floor(suite: BenchSuite, load: LoadProcess) -> FloorWrite:
    """Every row that a new score of a person with earlier ones leaves, as for the measured tenant."""
    person = new_id()
    job = replace(await score_job(suite, RECORDER, [person], 0.0001), clients=1)
    connection = await asyncpg.connect(suite.superuser_url(SERVICE))
    try:
        for _ in range(TRIES):  # the first is a baseline, of which nobody is told
            before = await snapshot(connection, RECORDER)
            await asyncio.to_thread(load.run, job)
            await quiet({SERVICE: connection})
            found = new_rows("public", before, await snapshot(connection, RECORDER))
            if any(each.table == "outbox" for each in found):
                break
        else:
            raise SetupError("a new score told nobody anything")
    finally:
        await connection.close()
    moved = [replace(each, rows=[{**row, "tenant": LARGE} for row in each.rows]) for each in found]
    return floor_write(moved, person)


@contextmanager
def alone(suite: BenchSuite) -> Iterator[None]:
    """Measurement is the only service that works meanwhile."""
    pid = suite.processes.pid_of("screening")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
