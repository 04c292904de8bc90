"""The fault proxy does what the plan says to exactly that exchange, and nothing to the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from stepwell_shared.cli.processes import free_port

from tests.support.listener import Listener, listening
from tests.support.proxy import Choice, Fault, FaultProxy, Plan


def once(fault: Fault, *, seconds: float = 0.05, bytes_max: int = 10, behind: int = 1) -> Plan:
    """The first exchange suffers this, the others nothing."""
    return lambda _link, _kind, number: Choice(fault, seconds, bytes_max, behind) if number == 1 else Choice()


@asynccontextmanager
async def behind_proxy(plan: Plan) -> AsyncIterator[tuple[Listener, httpx.AsyncClient, FaultProxy]]:
    """A listener, and a client that reaches it through the proxy alone."""
    async with (
        listening(free_port()) as listener,
        FaultProxy("link", free_port(), listener.port, plan) as proxy,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}", timeout=5) as client,
    ):
        yield listener, client, proxy


async def told(client: httpx.AsyncClient, body: str) -> bool:
    """Whether the notification was answered."""
    try:
        return (await client.post("/x/notifications", content=body)).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("fault", "answered", "arrived"),
    [
        (Fault.NONE, True, [b"one", b"two"]),
        (Fault.DROP, False, [b"two"]),
        (Fault.CUT, False, [b"two"]),
        (Fault.DROP_REPLY, False, [b"one", b"two"]),
        (Fault.CUT_REPLY, False, [b"one", b"two"]),
        (Fault.DELAY, True, [b"one", b"two"]),
        (Fault.TRICKLE, True, [b"one", b"two"]),
        (Fault.DUPLICATE, True, [b"one", b"one", b"two"]),
        (Fault.STALE, True, [b"one", b"two", b"one"]),
        (Fault.OVERTAKE, True, [b"two", b"one"]),
    ],
)
async def test_a_fault_is_what_its_name_says(fault: Fault, answered: bool, arrived: list[bytes]) -> None:
    async with behind_proxy(once(fault)) as (listener, client, proxy):
        assert await told(client, "one") is answered
        assert await told(client, "two")
        await proxy.settled()
        assert listener.bodies == arrived
        assert proxy.counts["notification", fault] >= 1


async def test_what_was_accepted_for_the_receiver_arrives_however_long_that_is_away() -> None:
    port = free_port()
    async with FaultProxy("link", free_port(), port, once(Fault.OVERTAKE)) as proxy:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}") as client:
            assert await told(client, "one")
            assert not await told(client, "two")
        async with listening(port) as listener:
            await asyncio.wait_for(proxy.settled(), 5)
            assert listener.bodies == [b"one"]


async def test_what_was_refused_for_good_is_on_record() -> None:
    async with behind_proxy(once(Fault.OVERTAKE)) as (listener, client, proxy):
        listener.answer = lambda body: 422 if body == b"one" else 200
        assert await told(client, "one")
        assert await told(client, "two")
        await proxy.settled()
        assert proxy.refused == [422]
