"""One client may take so much of a process and no more: the others are served whatever it does."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import structlog
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.auth.shares import CLIENTS_MAX, UNLIMITED_ROLE, URGENT_PLACES, Shares
from stepwell_shared.door import Limits
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction, Operation, Registry
from stepwell_shared.fhir.routes import Door, FhirApplication
from stepwell_shared.settings import Settings
from stepwell_shared.urgent import Urgent

from tests.conftest import DatabaseOf
from tests.support.engine import NORTH, SOUTH, Bench, access_record, patient, plain_registry
from tests.support.engine import bench as open_bench

PREFIX = "/screening/fhir"
FHIR = {"content-type": "application/fhir+json"}


class Seconds:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def caller(client_id: str = "north.ehr", tenant: str = NORTH, role: str = "clinician") -> Caller:
    return Caller(tenant, client_id, Scopes.parse("system/*.cruds"), "token", roles=(role,))


def served(shares: Shares, client: Caller, count: int) -> int:
    """How many of so many requests, one after another, found room."""
    found = 0
    for _ in range(count):
        share = shares.take(client)
        if share is not None:
            share.give_back()
            found += 1
    return found


def test_a_client_has_a_minutes_worth_and_gets_more_at_that_rate() -> None:
    clock = Seconds()
    shares = Shares(120, 10, clock)
    assert served(shares, caller(), 200) == 120
    assert shares.refusal(caller()).headers == {"Retry-After": "1"}
    clock.now = 0.25
    assert shares.take(caller()) is None
    clock.now = 5
    assert served(shares, caller(), 200) == 10
    clock.now = 10_000
    assert served(shares, caller(), 200) == 120


def test_a_client_that_has_to_wait_is_told_for_how_long() -> None:
    clock = Seconds()
    shares = Shares(2, 10, clock)
    assert served(shares, caller(), 3) == 2
    assert shares.refusal(caller()).headers == {"Retry-After": "30"}
    clock.now = 30
    assert served(shares, caller(), 3) == 1


def test_what_one_client_uses_up_is_not_anothers() -> None:
    shares = Shares(1, 1, Seconds())
    assert served(shares, caller(), 2) == 1
    assert served(shares, caller("north.portal"), 2) == 1
    # an issuer outside may give clients of two tenants the same name
    assert served(shares, caller(tenant=SOUTH), 2) == 1


def test_a_client_holds_so_many_places_at_once_and_gets_them_back() -> None:
    shares = Shares(1_000, 2, Seconds())
    first, second = shares.take(caller()), shares.take(caller())
    assert first is not None
    assert second is not None
    assert shares.take(caller()) is None
    refusal = shares.refusal(caller())
    assert refusal.category is Category.THROTTLED
    assert refusal.headers == {"Retry-After": "1"}
    assert shares.take(caller("north.portal")) is not None
    first.give_back()
    assert shares.take(caller()) is not None
    assert shares.take(caller()) is None


async def test_what_cannot_wait_has_places_more_and_then_the_next_that_is_given_back() -> None:
    shares = Shares(1_000, 1, Seconds())
    usual = shares.take(caller())
    assert usual is not None
    beyond = [await shares.take_first(caller()) for _ in range(URGENT_PLACES)]
    assert None not in beyond
    first, second = (asyncio.create_task(shares.take_first(caller())) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert shares.take(caller("north.portal")) is not None  # the line is its client's own
    usual.give_back()
    assert shares.take(caller()) is None
    assert await second is usual
    for _ in range(URGENT_PLACES + 1):
        assert shares.take(caller()) is None
        usual.give_back()
    assert shares.take(caller()) is not None


async def test_the_line_of_a_client_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepwell_shared.auth.shares.URGENT_WAITING_MAX", 1)
    shares = Shares(1_000, 0, Seconds())
    for _ in range(URGENT_PLACES):
        assert await shares.take_first(caller()) is not None
    waiting = asyncio.create_task(shares.take_first(caller()))
    await asyncio.sleep(0)
    assert await shares.take_first(caller()) is None
    waiting.cancel()


def test_who_was_refused_is_known_by_the_header_until_there_is_room_or_it_stays_away() -> None:
    clock = Seconds()
    shares = Shares(1_000, 1, clock)
    share = shares.take(caller())
    assert share is not None
    assert not shares.has_spent
    shares.refusal(caller(), "Bearer a")
    for clock.now in (0.5, 1.4, 2.3):
        assert shares.has_spent
        refusal = shares.spent(b"Bearer a")
        assert refusal is not None
        assert refusal.headers == {"Retry-After": "1"}
        assert shares.spent(b"Bearer b") is None
    share.give_back()
    assert shares.spent(b"Bearer a") is None
    assert shares.spent(b"Bearer a") is not None  # the place is for the one that was let in before
    assert shares.take(caller()) is not None
    clock.now = 9
    assert not shares.has_spent


async def test_so_is_who_sends_nothing_but_what_cannot_wait() -> None:
    shares = Shares(1_000, 1, Seconds())
    places = [shares.take(caller()), await shares.take_first(caller(), "Bearer a")]
    assert shares.has_spent
    assert shares.spent(b"Bearer a") is not None
    for each in places:
        assert each is not None
        each.give_back()
    assert shares.spent(b"Bearer a") is None


def test_our_own_services_are_not_held_back() -> None:
    shares = Shares(1, 1, Seconds())
    own = caller("north.service-routing", role=UNLIMITED_ROLE)
    assert all(shares.take(own) is not None for _ in range(1_000))


def test_clients_do_not_fill_the_memory() -> None:
    shares = Shares(1, 1, Seconds())
    for number in range(CLIENTS_MAX + 100):
        shares.take(caller(f"north.c{number}"))
    assert len(shares) == CLIENTS_MAX


def test_a_flood_is_one_line_a_second_in_the_log() -> None:
    clock = Seconds()
    shares = Shares(1, 1, clock)
    shares.take(caller())
    with structlog.testing.capture_logs() as lines:
        for _ in range(1_000):
            shares.refusal(caller())
        clock.now = 2
        shares.refusal(caller())
    assert [(each["client"], each["status"]) for each in lines] == [("north.ehr", 429)] * 2


def test_as_it_ships_one_client_may_be_busy_for_minutes_and_leaves_half_of_the_places() -> None:
    fields = Settings.model_fields
    assert fields["client_requests_per_minute"].default >= 60 * 5_000
    places = int(Limits.in_flight_max * fields["client_share_max"].default)
    assert 0 < places <= Limits.in_flight_max / 2


class Gate:
    """An operation that waits until it is opened; `arrived` counts who came so far."""

    def __init__(self) -> None:
        self.arrived = asyncio.Semaphore(0)
        self.opened = asyncio.Event()

    async def wait(self, _request: Request) -> Response:
        self.arrived.release()
        await self.opened.wait()
        return Response(200)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def bench(database_of: DatabaseOf, gate: Gate) -> AsyncIterator[Bench]:
    """Patient alone, with an operation that waits."""
    plain, registry = plain_registry("screening").types, Registry("screening")
    registry.add(
        replace(
            plain["Patient"], operations=(Operation("wait", gate.wait, Interaction.READ, "Waits.", instance=False),)
        )
    )
    async with open_bench(await database_of("screening"), registry=registry) as opened:
        yield opened


async def authenticate(header: str | None) -> Access:
    if header is None:
        raise FhirError(Category.UNAUTHENTICATED, "a bearer token is needed")
    return caller(header)


def client_of(bench: Bench, shares: Shares) -> httpx.AsyncClient:
    """The door with these shares, where a Patient cannot wait who is said to be active."""
    urgent = Urgent(PREFIX, {"Patient": lambda body: b"active" in body})
    door = Door(bench.engine, authenticate, access_record, shares=shares, urgent=urgent)
    transport = httpx.ASGITransport(FhirApplication(door, PREFIX))
    return httpx.AsyncClient(transport=transport, base_url=f"http://test{PREFIX}/", headers={"authorization": "a"})


async def test_beyond_its_share_a_client_is_told_to_come_again_and_the_others_are_served(
    bench: Bench, gate: Gate
) -> None:
    async with client_of(bench, Shares(1_000, 2, Seconds())) as http:
        waiting = [asyncio.create_task(http.post("Patient/$wait")) for _ in range(2)]
        for _ in waiting:
            await gate.arrived.acquire()
        refused = await http.get("Patient")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["issue"][0]["code"] == "throttled"
        assert (await http.get("Patient", headers={"authorization": "b"})).status_code == 200
        assert (await http.post("Patient", json=patient())).status_code == 429
        urgent = json.dumps({**patient(), "active": True})
        assert (await http.post("Patient", content=urgent, headers=FHIR)).status_code == 201
        for active, status in ((False, 429), (True, 200)):
            person = {**patient(), "id": "p1", **({"active": True} if active else {})}
            entry = {"resource": person, "request": {"method": "PUT", "url": "Patient/p1"}}
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
            put = await http.put("Patient/p1", content=json.dumps(person), headers=FHIR)
            assert put.status_code == (201 if active else 429)
            together = await http.post("", content=json.dumps(bundle), headers=FHIR)
            assert together.status_code == status, together.text
        gate.opened.set()
        assert [each.status_code for each in await asyncio.gather(*waiting)] == [200, 200]
        assert (await http.get("Patient")).status_code == 200
    async with bench.database.transaction(NORTH) as connection:
        statuses = await connection.fetch("SELECT status FROM audit WHERE tenant = $1", NORTH)
    assert 429 not in {each["status"] for each in statuses}  # a flood fills no table


async def test_what_fails_gives_its_place_back(bench: Bench) -> None:
    shares = Shares(1_000, 1, Seconds())
    async with client_of(bench, shares) as http:
        for path in ("Patient/nobody", "Nothing", "Patient?birthdate=never"):
            assert (await http.get(path)).status_code in {400, 404}
        assert (await http.put("Patient/p1", content=b"{", headers=FHIR)).status_code == 400
        assert (await http.get("Patient")).status_code == 200
