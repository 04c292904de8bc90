"""A partner hears by machine that a person was erased: which referral it was, and nothing about the person."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from stepwell_referral import builders
from stepwell_referral.use_cases.intake import ERASED
from stepwell_referral.use_cases.partners import concerns, outgoing, take_news
from stepwell_shared.canonical import instant
from stepwell_shared.cli import erasing
from stepwell_shared.cli.erasing_finding import find
from stepwell_shared.fhir.erased import emptied
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import referrals
from tests.services.referral.partnering import (
    PRACTICE_URL,
    SHARED,
    add_practice,
    caller_of,
    own_task,
    referral,
)
from tests.services.referral.test_partners import news, ours, partner, pending, refer
from tests.shared.federation.pairs import hub
from tests.support.door import door_for
from tests.support.runtime import NORTH

__all__ = ["partner"]
Resource = dict[str, Any]


async def erase(runtime: Runtime) -> None:
    """Tells and buries, as the command does before it removes old versions with the owner's login."""
    found = await find(runtime.database, runtime.engine, NORTH, "p1")
    await erasing._tell(runtime.engine, "referral", NORTH, "p1", found)
    for step in found.steps:
        await erasing._bury(runtime.engine, NORTH, step)


@pytest.mark.parametrize("status", ["accepted", "completed"])
async def test_the_partner_that_was_asked_hears_of_it_whatever_became_of_the_referral(
    runtime: Runtime, partner: Any, emitted: Callable[[Resource], None], status: str
) -> None:
    task = await refer(runtime)
    await take_news(runtime, partner, news(task, status, 2))
    assert not await concerns(runtime, partner, await pending(runtime))
    await erase(runtime)
    event = await pending(runtime)
    assert await concerns(runtime, partner, event)
    assert not await concerns(runtime, hub(name="other"), event)
    sent = await outgoing(runtime, partner, event)
    (entry,) = sent.entries
    known = task["identifier"][0]
    assert entry["resource"]["focus"]["identifier"] == {name: known[name] for name in ("system", "value")}
    assert [each["code"] for each in entry["resource"]["code"]["coding"]] == ["abort", "person-erased"]
    assert entry["resource"]["requester"] == {"reference": partner.organization_there}
    assert not any(mark in orjson.dumps(sent.entries) for mark in (b"Example", b"Patient", b"p1"))
    emitted({"resourceType": "Bundle", "type": "transaction", "entry": sent.entries})


async def test_what_the_partner_says_of_somebody_who_was_erased_is_heard_and_not_kept(
    runtime: Runtime, partner: Any
) -> None:
    task = await refer(runtime)
    await erase(runtime)
    await take_news(runtime, partner, news(task, "cancelled", 3))
    assert await referrals(runtime, NORTH) == []


@pytest.mark.parametrize(("status", "left"), [("requested", "cancelled"), ("completed", "completed")])
async def test_who_was_asked_closes_what_is_open_and_keeps_the_notice_for_its_people(
    runtime: Runtime, status: str, left: str
) -> None:
    alder = await add_practice(runtime, "alder")
    placer = builders.Placer(PRACTICE_URL, "Organization/partner-alder", SHARED)
    told = builders.outgoing_erasure(own_task(), placer, owner="Organization/default-organization")
    async with door_for(runtime, caller_of(alder)) as practice:
        assert (await practice.post("", json=referral("alder"))).status_code == 200
        (task,) = await referrals(runtime, NORTH)
        if status == "completed":
            await close(runtime, task)
        for _ in range(2):
            answer = await practice.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": told})
            assert answer.status_code == 200, answer.text
    kept = {each["id"]: each for each in await referrals(runtime, NORTH)}
    assert kept[task["id"]]["status"] == left
    assert (kept.pop(task["id"]).get("statusReason", {}).get("text") == ERASED) is (left == "cancelled")
    (notice,) = kept.values()
    assert notice["code"]["coding"][1]["code"] == "person-erased"
    assert "for" not in notice


async def close(runtime: Runtime, task: Resource) -> None:
    """The hub's own people are done."""
    stored = await runtime.store.read(NORTH, "Task", task["id"])
    assert stored is not None
    done = built(runtime.engine, {**task, "status": "completed"}, runtime.clock(), version=stored.version + 1)
    await runtime.store.commit(UnitOfWork(NORTH, [done]))


@pytest.mark.parametrize("known", ["accepted", "completed"])
async def test_who_referred_sees_that_the_partner_has_erased_the_person(
    runtime: Runtime, partner: Any, known: str
) -> None:
    before = await refer(runtime)
    await take_news(runtime, partner, news(before, known, 2))
    before = await ours(runtime)
    theirs = emptied({**before, "id": "there", "status": known}, "3", instant(runtime.clock()))
    event = news(before, theirs["status"], 3)
    told = replace(event, resources=dict.fromkeys(event.resources, theirs))
    await take_news(runtime, partner, told)
    after = await ours(runtime)
    assert after["status"] == ("completed" if known == "completed" else "cancelled")
    assert after["note"][-1]["text"] == "The partner says: what it kept of this person was erased."
    assert after["for"] == before["for"]
    with pytest.raises(FhirError):
        await take_news(runtime, hub(name="other"), told)
