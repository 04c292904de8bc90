"""A practice and a hub, each its own deployment, with a line between them that fails: what is referred arrives once."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from stepwell_shared.auth.keys import load_private_key, public_key_set
from stepwell_shared.cli.partners import add_partner
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.federation.cards import card_for, write_card
from stepwell_shared.federation.partners import Feed, feed_id

from tests.support.partners import Organisation, Resource, introduce, organisations, rows
from tests.support.waiting import until

PEOPLE = 6
OTHER_URL = "https://other.example.org/referral/fhir"


async def paired(practice: Organisation, hub: Organisation) -> None:
    """The practice refers to the hub's place of tier 3."""
    await introduce(practice, hub, refers_here=True)
    await introduce(hub, practice, referred_to=True)
    await practice.ask_at("hub", f"{hub.base_url}/HealthcareService/default-tier-3")


def having(where: Organisation, count: int, status: str) -> Callable[[], Awaitable[dict[str, Resource] | None]]:
    """Whether so many referrals have this status there."""

    async def condition() -> dict[str, Resource] | None:
        found = {key: task for key, task in (await where.referrals()).items() if task["status"] == status}
        return found if len(found) >= count else None

    return condition


def cut_off(*organisations: Organisation) -> None:
    for each in organisations:
        each.line.cut()


def together_again(*organisations: Organisation) -> None:
    for each in organisations:
        each.line.mend()


async def arrived(practice: Organisation, count: int) -> bool:
    """Whether the practice knows that so many have arrived."""
    states = [task["businessStatus"]["text"] for task in (await practice.referrals()).values()]
    return [state.startswith("Arrived") for state in states].count(True) == count


async def has_tried(practice: Organisation, attempts: int) -> bool:
    """Whether delivery to the hub has failed so often: at a try every 15 seconds, 8 hours are 1,920."""
    return all(each.attempts >= attempts for each in await practice.standings())


async def order_of(where: Organisation) -> list[str]:
    """The identifiers of referrals in the order in which they were first announced there."""
    told = "SELECT focus FROM outbox WHERE topic LIKE '%/referral-changed' ORDER BY transaction, position"
    found = await rows(where, told)
    names = {f"Task/{task['id']}": value for value, task in (await where.referrals()).items()}
    return [names[focus] for focus in dict.fromkeys(row["focus"] for row in found)]


async def nothing_is_owed(*organisations: Organisation) -> None:
    """Everything was delivered, and nothing was set aside."""

    async def condition() -> bool:
        found = [each for where in organisations for each in await where.standings()]
        return all((each.waiting, each.parked, each.oldest, each.status) == (0, 0, None, "active") for each in found)

    await until(condition)


async def everything_is_there_once(practice: Organisation, hub: Organisation) -> None:
    """Each person, request and Task once, whatever was sent again."""
    here, there = await practice.referrals(), await hub.referrals()
    assert sorted(here) == sorted(there)
    counts = {name: len(await hub.search(name)) for name in ("Patient", "ServiceRequest", "Task")}
    assert counts == {"Patient": PEOPLE, "ServiceRequest": len(here), "Task": len(here) + 1}


async def its_own_events_can_be_had_again(practice: Organisation, hub: Organisation) -> None:
    """The practice reads its own subscription at the hub, and no other."""
    key = load_private_key(practice.home / "keys" / "service-referral.jwk")
    await hub.token("partner-practice", key)
    own = feed_id(hub.base_url, hub.tenant, "practice", Feed.STATUS)
    answer = await hub.call("GET", f"Subscription/{own}/$events", by="partner-practice", eventsUntilNumber="2")
    assert (answer.status_code, answer.json()["type"]) == (200, "history")
    for path, status in (
        ("Subscription/$status", 403),
        ("Subscription/x/$events", 404),
        ("Subscription/x/$status", 404),
    ):
        assert (await hub.call("GET", path, by="partner-practice")).status_code == status


async def a_stranger_sees_nothing(hub: Organisation, task: Resource) -> None:
    """Another partner of the same hub: nothing of the first one is there for it, by any way."""
    key = load_private_key(hub.home / "keys" / "issuer.jwk")
    card = card_for("other", "hub", title="Other", base_url=OTHER_URL, issuer_url=OTHER_URL, jwks=public_key_set([key]))
    await add_partner(
        *(hub.access(), hub.tenant, "other", write_card(card)),
        refers_here=True,
        referred_to=False,
        shared=frozenset(),
        endpoints=EndpointPolicy(),
    )
    await hub.token("partner-other", key)
    for resource_type in ("Task", "ServiceRequest", "Patient"):
        assert await hub.search(resource_type, by="partner-other") == []
    patient, request = task["for"]["reference"], task["focus"]["reference"]
    subscription = feed_id(hub.base_url, hub.tenant, "practice", Feed.STATUS)
    for path in (f"Task/{task['id']}", f"Task/{task['id']}/_history", patient, request, f"{patient}/Task"):
        answer = await hub.call("GET", path, by="partner-other")
        assert answer.status_code < 500, path
        assert task["identifier"][0]["value"] not in answer.text, path
    for operation in ("$status", "$events"):
        answer = await hub.call("GET", f"Subscription/{subscription}/{operation}", by="partner-other")
        assert answer.status_code == 404  # as if it were not there
    asked_for = {**task, "status": "requested", "requester": {"reference": "Organization/partner-other"}}
    refused = await hub.call("POST", "Task", asked_for, by="partner-other")
    assert (refused.status_code, "Patient that you have sent" in refused.text) == (422, True)
    assert (await hub.call("POST", "Task", task, by="partner-other")).status_code == 403


async def test_a_practice_cut_off_from_its_hub_for_hours_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with organisations(tmp_path, "practice", "hub") as (practice, hub):
        await paired(practice, hub)
        for number in range(PEOPLE):
            await practice.person(f"p{number}")
        assert (await practice.assign("first", "p0")).status_code == 200
        (there,) = (await until(having(hub, 1, "requested"))).values()
        await until(lambda: arrived(practice, 1))

        cut_off(practice, hub)
        await hub.move(there, status="accepted")
        for turn, person in ((turn, person) for turn in "ab" for person in range(PEOPLE)):
            started = time.monotonic()
            assert (await practice.assign(f"s{person}{turn}", f"p{person}")).status_code == 200
            assert time.monotonic() - started < 5
        assert (await practice.assign("s5b", "p5", version=2, status="revoked")).status_code == 200
        await until(lambda: has_tried(practice, 20))
        assert [each.status for each in await practice.standings()] == ["error"]
        assert len(await hub.referrals()) == 1
        assert {task["status"] for task in (await practice.referrals()).values()} == {"requested", "cancelled"}

        together_again(practice, hub)
        await until(having(hub, 2 * PEOPLE - 1, "requested"))
        await until(having(hub, 1, "cancelled"))
        await until(having(practice, 1, "accepted"))
        assert await order_of(hub) == await order_of(practice)
        for task in (await having(hub, 1, "requested")() or {}).values():
            await hub.move(task, status="accepted", note=[{"text": "we call you"}])
        accepted = await until(having(practice, 2 * PEOPLE, "accepted"))
        assert sum("we call you" in str(task.get("note")) for task in accepted.values()) == 2 * PEOPLE - 1
        await nothing_is_owed(practice, hub)
        await everything_is_there_once(practice, hub)
        await its_own_events_can_be_had_again(practice, hub)
        await a_stranger_sees_nothing(hub, next(iter((await hub.referrals()).values())))
