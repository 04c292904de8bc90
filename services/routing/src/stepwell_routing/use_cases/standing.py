"""What stands for a person, on the one pathway that they are on: the episode, the open proposal, and the plan.

In the plan care has begun.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders

COURSE = "stepped-care"
"""Part of the ids of a person's episodes, decisions and assignments, whatever the pathway: one cause, one decision."""
PROPOSAL = "proposal"
BOOSTERS_MAX = 8
OPEN = frozenset({"active", "on-hold"})
ENDED = frozenset({"finished", "cancelled"})
GIVEN = "completed"
"""A plan whose referral is complete: its step goes on until it is reviewed."""

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
    def is_open(self) -> bool:
        """Whether it asks for anything still; a plan that is completed has been given, and its step goes on."""
        return self.body["status"] in OPEN

    @property
    def tier(self) -> str:
        """The code of the tier by whose places it is given."""
        return builders.tier_code(self.body)

    @property
    def step(self) -> str:
        """The code of its step on the ladder of its policy; a shared tier is a step of its own name."""
        return builders.step_code(self.body)


@dataclass(frozen=True)
class Standing:
    """The episode with what it rests on: a proposal that nobody has answered yet, and the plan that was accepted last.

    Every decision and every acceptance moves the episode on by a version, so that those on one person are serialised.
    `earlier` are the plans of steps that stand until the first contact in the new one, `prior` is the episode that
    has ended; `reviews` are the review Tasks of proposal and plans by the reference of their request.
    """

    episode_id: str
    episode: Stored | None = None
    proposal: Assignment | None = None
    plan: Assignment | None = None
    earlier: tuple[Assignment, ...] = ()
    prior: Stored | None = None
    reviews: Mapping[str, Stored] = field(default_factory=dict)
    resume_check: Stored | None = None
    boosters: tuple[Stored, ...] = ()

    @property
    def episode_body(self) -> Resource | None:
        return None if self.episode is None or self.episode.body is None else orjson.loads(self.episode.body)

    @property
    def pathway(self) -> str | None:
        """The pathway that the person is on: that of the episode, or of the one that ended last."""
        body = self.episode_body or _body(self.prior)
        return None if body is None else str(body["type"][0]["coding"][0]["code"])

    @property
    def organization(self) -> Resource | None:
        """The site that runs the episode, as a Reference."""
        found: Resource | None = (self.episode_body or {}).get("managingOrganization")
        return found

    @property
    def version(self) -> int:
        """The version that the episode gets next."""
        return 1 if self.episode is None else self.episode.version + 1

    @property
    def status(self) -> str | None:
        """Where the episode stands; finished when only one that has ended is there."""
        body = self.episode_body
        if body is not None:
            return str(body["status"])
        return "finished" if self.prior is not None else None

    @property
    def requests(self) -> list[str]:
        """References of what the episode rests on."""
        return [each.reference for each in (self.proposal, self.plan) if each is not None]

    @property
    def references(self) -> list[str]:
        """The same with the plans of steps that are still open."""
        return [*self.requests, *(each.reference for each in self.earlier)]


async def standing_of(runtime: Runtime, tenant: str, subject_key: str) -> Standing:
    """Reads the episode that goes on, then the requests that it names, with their reviews."""
    id_, prior = episode_id(runtime, tenant, subject_key), None
    episode = await runtime.store.read(tenant, "EpisodeOfCare", id_)
    while episode is not None and episode.body is not None and orjson.loads(episode.body)["status"] in ENDED:
        prior, id_ = episode, derived_id(runtime.engine.base_url, tenant, "episode-after", id_)
        episode = await runtime.store.read(tenant, "EpisodeOfCare", id_)
    if episode is None or episode.body is None:
        return Standing(id_, episode, prior=prior, boosters=await _boosters(runtime, tenant, prior))
    references = [each["reference"] for each in orjson.loads(episode.body).get("referralRequest", ())]
    ids = [reference.rpartition("/")[2] for reference in references]
    found = await asyncio.gather(
        *(runtime.store.read(tenant, "ServiceRequest", each) for each in ids),
        *(runtime.store.read(tenant, "Task", review_id(runtime, tenant, each)) for each in ids),
    )
    stored, reviews = found[: len(ids)], zip(references, found[len(ids) :], strict=True)
    requests = [Assignment(each, orjson.loads(each.body)) for each in stored if each is not None and each.body]
    proposals = [each for each in requests if each.is_open and each.body["intent"] == PROPOSAL]
    stands = OPEN | {GIVEN}
    plans = [each for each in requests if each.body["status"] in stands and each.body["intent"] != PROPOSAL]
    resting = next((each for each in plans[:1] if each.body["status"] == "on-hold"), None)
    check = None if resting is None else resume_id(runtime, tenant, resting.stored)
    return Standing(
        id_,
        episode,
        next(iter(proposals), None),
        next(iter(plans), None),
        tuple(plans[1:]),
        prior,
        {reference: review for reference, review in reviews if review is not None},
        None if check is None else await runtime.store.read(tenant, "Task", check),
    )


def _body(stored: Stored | None) -> Resource | None:
    return None if stored is None or stored.body is None else orjson.loads(stored.body)


async def _boosters(runtime: Runtime, tenant: str, prior: Stored | None) -> tuple[Stored, ...]:
    """The boosters after the episode that ended last."""
    if prior is None:
        return ()
    ids = [booster_id(runtime, tenant, prior.id, number) for number in range(1, BOOSTERS_MAX + 1)]
    found = await asyncio.gather(*(runtime.store.read(tenant, "Task", each) for each in ids))
    return tuple(each for each in found if each is not None)


def booster_id(runtime: Runtime, tenant: str, ended_id: str, number: int) -> str:
    """The id of a booster's Task, counted from one after the end of an episode."""
    return derived_id(runtime.engine.base_url, tenant, "booster", ended_id, str(number))


def episode_id(runtime: Runtime, tenant: str, subject_key: str) -> str:
    """The id of a person's first episode; the id of each later one is derived from the one before."""
    return derived_id(runtime.engine.base_url, tenant, "episode", COURSE, subject_key)


def resume_id(runtime: Runtime, tenant: str, resting: Stored) -> str:
    """The id of the Task that asks whether to go on with a plan, which rests since this version of it."""
    return derived_id(runtime.engine.base_url, tenant, "resume-check", resting.id, str(resting.version))


def review_id(runtime: Runtime, tenant: str, request_id: str) -> str:
    """The id of the Task by which the step of a request is reviewed."""
    return derived_id(runtime.engine.base_url, tenant, "review", request_id)


def key_of(runtime: Runtime, subject: Mapping[str, Any]) -> str:
    """What names a person in our rows: the local reference, the absolute URL, or the identifier."""
    if "reference" in subject:
        return runtime.engine.localise(subject["reference"])
    identifier = subject["identifier"]
    return f"{identifier.get('system', '')}|{identifier['value']}"
