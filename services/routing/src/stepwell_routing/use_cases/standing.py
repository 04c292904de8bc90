"""What stands for a person in a pathway: the episode, the open proposal, and the plan in which care has begun."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

PATHWAY = "stepped-care"
PROPOSAL = "proposal"
OPEN = frozenset({"active", "on-hold"})

Resource = dict[str, Any]


@dataclass(frozen=True)
class Assignment:
    """A stored ServiceRequest, read."""

    stored: Stored
    body: Resource

    @property
    def reference(self) -> str:
        return f"ServiceRequest/{self.stored.id}"

    @property
    def tier(self) -> str:
        """The code of its tier."""
        return str(self.body["category"][0]["coding"][0]["code"])


@dataclass(frozen=True)
class Standing:
    """The episode with what it rests on: a proposal that nobody has answered yet, and the plan that was accepted last.

    Every decision and every acceptance moves the episode on by a version, so that those on one person are serialised.
    """

    episode: Stored | None
    proposal: Assignment | None
    plan: Assignment | None

    @property
    def episode_body(self) -> Resource | None:
        return None if self.episode is None or self.episode.body is None else orjson.loads(self.episode.body)

    @property
    def requests(self) -> list[str]:
        """References of what the episode rests on."""
        return [each.reference for each in (self.proposal, self.plan) if each is not None]


async def standing_of(runtime: Runtime, tenant: str, subject_key: str) -> Standing:
    """Reads the episode, then the requests that it names."""
    episode = await runtime.store.read(tenant, "EpisodeOfCare", episode_id(runtime, tenant, subject_key))
    if episode is None or episode.body is None:
        return Standing(episode, None, None)
    references = [each["reference"] for each in orjson.loads(episode.body).get("referralRequest", ())]
    ids = [reference.rpartition("/")[2] for reference in references]
    found = await asyncio.gather(*(runtime.store.read(tenant, "ServiceRequest", id_) for id_ in ids))
    requests = [Assignment(each, orjson.loads(each.body)) for each in found if each is not None and each.body]
    open_requests = [each for each in requests if each.body["status"] in OPEN]
    proposals = [each for each in open_requests if each.body["intent"] == PROPOSAL]
    plans = [each for each in open_requests if each.body["intent"] != PROPOSAL]
    return Standing(episode, next(iter(proposals), None), next(iter(plans), None))


def episode_id(runtime: Runtime, tenant: str, subject_key: str) -> str:
    """The id of a person's one episode in the pathway."""
    return derived_id(runtime.engine.base_url, tenant, "episode", PATHWAY, subject_key)


def key_of(runtime: Runtime, subject: Mapping[str, Any]) -> str:
    """What names a person in our rows: the local reference, the absolute URL, or the identifier."""
    if "reference" in subject:
        return runtime.engine.localise(subject["reference"])
    identifier = subject["identifier"]
    return f"{identifier.get('system', '')}|{identifier['value']}"
