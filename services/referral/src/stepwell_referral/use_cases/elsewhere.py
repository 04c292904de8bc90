"""A place says no: the next best one for the person is asked in the same commit, or people are told of none."""

from dataclasses import replace
from typing import Any

from stepwell_shared.canonical import CANONICAL, derived_id
from stepwell_shared.runtime import Runtime

from stepwell_referral import builders, data
from stepwell_referral.builders import support as support_builders
from stepwell_referral.rules.waits import wait_words
from stepwell_referral.use_cases.offers import Offer, Offers, offers_for
from stepwell_referral.use_cases.progress import Progress
from stepwell_referral.use_cases.requests import has_safety_rule, priority_of, tier_of

REFERRAL_IDENTIFIERS = f"{CANONICAL}/NamingSystem/referral"
# Beyond this many places that said no in a row, the earlier ones may be asked again.
CHAIN_MAX = 16

Resource = dict[str, Any]


def next_task_id(runtime: Runtime, tenant: str, request_id: str, task_id: str) -> str:
    """The id of the Task that follows a refused one."""
    return derived_id(runtime.engine.base_url, tenant, "referral", request_id, task_id)


async def refer_elsewhere(progress: Progress) -> Progress | None:
    """Adds the Task of the next best place, already requested; the version that was added, with the offer's words.

    A place that was named in a transfer is asked first. None when the ServiceRequest is not here to say what is asked
    for.
    """
    request = None if progress.request is None else await progress.read("ServiceRequest", progress.request_id)
    tier = tier_of(request[1]) if request is not None else None
    if request is None or tier is None:
        return None
    tried, wanted = await _tried(progress), _transfer_to(progress.task)
    offers = await offers_for(
        progress.runtime,
        progress.tenant,
        tier=tier,
        priority=progress.task.get("priority", priority_of(request[1])),
        subject_key=progress.subject_key,
        safety_item=has_safety_rule(request[1]),
        now=progress.now,
        declined=[each.removeprefix("HealthcareService/") for each in tried],
        owner=wanted,
    )
    offer = _chosen(offers, tier, wanted, tried)
    id_ = next_task_id(progress.runtime, progress.tenant, progress.request_id, progress.stored.id)
    task = _task(progress, id_, tier, offer)
    stored = progress.put(task)
    progress.announce(stored, task)
    return replace(progress, before=None, task=task, stored=stored, interim=offer.interim)


def _chosen(offers: Offers, tier: str, wanted: str | None, tried: set[str]) -> Offer:
    """The place of this tier that a transfer names, else the best that has not said no, if there is one."""
    named = offers.at(wanted) if wanted is not None and wanted not in tried else None
    if named is not None and (named.place is None or tier not in named.place.tiers):
        named = None
    left = (f"HealthcareService/{place.place_id}" for place in offers.places)
    found = named or next((offers.at(each) for each in left if each not in tried), None)
    words = wait_words(offers.nowhere, None, data.wait_templates())
    return found or Offer(None, offers.nowhere, offers.interim, words)


def _task(progress: Progress, id_: str, tier: str, offer: Offer) -> Resource:
    before = progress.task
    referral = builders.Referral(
        task_id=id_,
        identifier={"system": REFERRAL_IDENTIFIERS, "value": id_},
        service_request=before["focus"]["reference"],
        subject=before["for"],
        requester=before["requester"],
        tier=tier,
        priority=before.get("priority", "routine"),
        language=before.get("language", builders.FALLBACK_LANGUAGE),
    )
    prepared = builders.referral_task(
        referral, place=offer.place, wait=offer.wait, interim=offer.interim, words=offer.words, at=progress.now
    )
    asked = builders.requested_task(prepared, at=progress.now)
    return support_builders.with_previous(asked, progress.stored.id)


async def _tried(progress: Progress) -> set[str]:
    """The places that were asked for this person already."""
    found: set[str] = set()
    task: Resource | None = progress.task
    for _ in range(CHAIN_MAX):
        if task is None:
            break
        found.add(str(task.get("owner", {}).get("reference", "")))
        previous = support_builders.previous_of(task)
        read = await progress.read("Task", previous) if previous else None
        task = None if read is None else read[1]
    return found


def _transfer_to(task: Resource) -> str | None:
    """The place that the one that says no has named."""
    for output in task.get("output", ()):
        codings = output.get("type", {}).get("coding", ())
        if any(each.get("code") == support_builders.TRANSFER_TO for each in codings):
            return str(output.get("valueReference", {}).get("reference", "")) or None
    return None
