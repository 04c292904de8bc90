"""Searches while primaries change: whoever was answered a write finds it, although standbys are asked, at another
process than the one that wrote.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import httpx
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.processes import Command, free_port

from tests.chaos.clients import Submitter
from tests.external.patroni_cluster import Cluster

WRITER = "screening"
ASKED = "screening-asked"
STANDBY_SECONDS_MAX = 60.0
_BY_STANDBY = re.compile(r'^stepwell_searches_by_server_total\{.*server="standby".*\} (\d+)', re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """Another process of the service that clients write to."""

    deployment: LocalDeployment
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Where it is, but for the path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def command(self) -> Command:
        """How to start it."""
        like = next(each for each in self.deployment.commands() if each.name == WRITER)
        return replace(like, name=ASKED, argv=[*like.argv[:-1], str(self.port)], port=self.port)


@dataclass
class Seeker:
    """Looks by name, which no index of the primary has at hand, for whoever was submitted just now."""

    client: Submitter
    asked: Asked
    answered_at: list[float] = field(default_factory=list)

    async def find(self, number: int) -> None:
        """Returns when there was an answer; one without the patient is written down as wrong."""
        ledger = self.client.ledger
        submission = ledger.submission(number)
        parameters = {"family:exact": submission.family}
        url = f"{self.asked.url}/{WRITER}/fhir/Patient"
        answer = await self.client.until_answered(submission.identifier, "GET", url, None, {}, parameters)
        self.answered_at.append(time.monotonic())
        if [each["resource"]["id"] for each in answer.json().get("entry", ())] != [submission.patient_id]:
            ledger.wrong["a search did not find what its client had written"].append(submission.identifier)

    async def standby_is_asked(self, cluster: Cluster) -> int:
        """Waits until a standby answers searches again; so many it has answered in all."""
        before, deadline = await self._by_standby(), time.monotonic() + STANDBY_SECONDS_MAX
        while (now := await self._by_standby()) == before:
            if time.monotonic() > deadline:
                raise RuntimeError("no standby is asked")
            await cluster.checkpoint_standbys()
            await asyncio.sleep(0.2)
        return now

    async def _by_standby(self) -> int:
        async with httpx.AsyncClient() as client:
            said = (await client.get(f"{self.asked.url}/metrics")).text
        found = _BY_STANDBY.search(said)
        return int(found[1]) if found else 0


def gap_seconds(moments: Sequence[float], since: float) -> float:
    """The longest time without any of these moments since then, on the monotonic clock."""
    after = [since, *(each for each in moments if each > since)]
    return max((later - earlier for earlier, later in pairwise(after)), default=0.0)
