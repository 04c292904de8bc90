"""Screening alone, as a real process on real PostgreSQL: what is put under overload, and what it costs there."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.client import filled

from tests.journeys.test_library import employ
from tests.support import postgres
from tests.support.suite import NORTH, Clinic, Suite, running_suite

SERVICE = "screening"
PHQ_9_OF_16, WITH_ITEM_9 = (2, 2, 2, 2, 2, 2, 2, 2, 0), (2, 2, 2, 2, 2, 2, 2, 1, 1)

MARKER = "urn:overload:~~~~~~~~~"
_numbers = count(1)

Resource = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """A running screening; `token` is a clinician's."""

    suite: Suite
    token: str
    database: str
    """Its name on the run's server."""

    @property
    def port(self) -> int:
        return self.suite.deployment.ports[SERVICE]

    @property
    def pid(self) -> int:
        return self.suite.processes.pid_of(SERVICE)

    def request(self, method: str, path: str, resource: Resource | None = None) -> bytes:
        """The bytes of a request."""
        body = b"" if resource is None else orjson.dumps(resource)
        head = (
            f"{method} /screening/fhir/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def cpu_seconds(self) -> float:
        """What the process has used so far; proc(5)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_connections(self) -> int:
        """TCP connections that the process holds, with clients that are there and with clients that have gone.

        /proc/net/tcp: local address, state (01 established, 08 close wait) and inode, which is 0 once it is let go.
        """
        found = 0
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            is_ours = int(fields[1].rpartition(":")[2], 16) == self.port
            found += is_ours and fields[3] in {"01", "08"} and fields[9] != "0"
        return found

    async def people(self, clinic: Clinic, number: int) -> list[str]:
        """Ids of so many new patients."""
        made = []
        for start in range(0, number, 100):
            entries = [
                {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
                for _ in range(start, min(start + 100, number))
            ]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            answer = await clinic.call("POST", SERVICE, "", resource=bundle)
            made += [each["response"]["location"].split("/")[-3] for each in answer.json()["entry"]]
        return made

    async def submissions(self, clinic: Clinic, people: Sequence[str], weights: Sequence[int]) -> Iterator[bytes]:
        """Requests without end, each a PHQ-9 of the next of these people under a new identifier."""
        (questionnaire,) = await clinic.search(SERVICE, "Questionnaire", url=f"{CANONICAL}/Questionnaire/phq-9")
        authored = datetime.now(UTC)
        templates = [
            self.request(
                "POST",
                "QuestionnaireResponse",
                filled(questionnaire, weights, patient=f"Patient/{id_}", authored=authored, identifier=MARKER),
            )
            for id_ in people
        ]
        marker = MARKER.encode()
        return (each.replace(marker, b"urn:overload:%09d" % next(_numbers)) for each in cycle(templates))

    async def alerts(self, clinic: Clinic) -> dict[str, bytes]:
        """One request of each kind that opens a safety alert, each about a new person."""
        form = await self._red_flags()
        posted, put, together, handed_in, own, raised = people = await self.people(clinic, 6)
        answers = dict(zip(people, await self._alarming(clinic, people), strict=True))
        entry = {"resource": answers[together], "request": {"method": "POST", "url": "QuestionnaireResponse"}}
        concern = {"name": "concern", "valueCode": "self-harm"}
        by = {"name": "by", "valueReference": {"reference": f"Practitioner/{NORTH}-clinician"}}
        return {
            "create": self.request("POST", "QuestionnaireResponse", answers[posted]),
            "update": self.request("PUT", f"QuestionnaireResponse/r-{put}", {**answers[put], "id": f"r-{put}"}),
            "transaction": self.request(
                "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
            ),
            "process": self.request("POST", "Questionnaire/$process-response", answers[handed_in]),
            "form of a site": self.request(
                "POST",
                "QuestionnaireResponse",
                {
                    **answers[own],
                    "questionnaire": f"{form['url']}|{form['version']}",
                    "item": [{"linkId": "flag", "answer": [{"valueBoolean": True}]}],
                },
            ),
            "concern": self.request(
                "POST",
                f"Patient/{raised}/$raise-safety-concern",
                {"resourceType": "Parameters", "parameter": [concern, by]},
            ),
        }

    async def _alarming(self, clinic: Clinic, people: Sequence[str]) -> list[Resource]:
        (questionnaire,) = await clinic.search(SERVICE, "Questionnaire", url=f"{CANONICAL}/Questionnaire/phq-9")
        authored = datetime.now(UTC)
        return [
            filled(
                questionnaire,
                WITH_ITEM_9,
                patient=f"Patient/{id_}",
                authored=authored,
                identifier=f"urn:overload:alert-{id_}",
            )
            for id_ in people
        ]

    async def _red_flags(self) -> Resource:
        """A new form of the clinic's own, with one question whose yes a person must see to."""
        form = {
            "resourceType": "Questionnaire",
            "url": f"https://clinic.example/Questionnaire/red-flags-{next(_numbers)}",
            "version": "1",
            "title": "Red flags",
            "status": "active",
            "item": [
                {
                    "linkId": "flag",
                    "code": [{"system": f"{CANONICAL}/CodeSystem/instrument-item", "code": "cauda-equina"}],
                    "text": "Is it so?",
                    "type": "boolean",
                }
            ],
        }
        await employ(self.suite)
        async with self.suite.clinic(name="librarian") as librarian:
            return await librarian.create(SERVICE, form)

    async def connections_in_use(self) -> dict[str, int]:
        """How many of the service's database connections are in which state."""
        async with postgres.administrator() as connection:
            rows = await connection.fetch(
                "SELECT state, count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'"
                " AND pid <> pg_backend_pid() GROUP BY state",
                self.database,
            )
        return {row["state"]: row["count"] for row in rows}

    async def superuser(self) -> asyncpg.Connection:
        """A connection to the service's database, past row-level security."""
        return await asyncpg.connect(postgres.server().url(self.database))


@contextmanager
def running_target(folder: Path) -> Iterator[Target]:
    """Starts and stops it. The events that it has for others wait."""
    with running_suite(folder, [SERVICE]) as suite:
        name = suite.deployment.databases[SERVICE].runtime.partition("?")[0].rpartition("/")[2]
        yield Target(suite, asyncio.run(_token(suite)), name)


async def _token(suite: Suite) -> str:
    async with suite.clinic(NORTH) as clinic:
        return await clinic.token()
