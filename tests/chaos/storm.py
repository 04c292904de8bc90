"""One run of chaos: clients submit, processes die, the network misbehaves; then calm, and the oracle's word."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import asyncpg
import orjson
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.client import SuiteClient
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import http_client

from tests.chaos.clients import Submitter, submitting
from tests.chaos.ledger import Ledger
from tests.chaos.oracle import Finding, examine, examine_ehr
from tests.chaos.recovery import Recovery
from tests.chaos.schedule import Faults, Kill, Manner, kills
from tests.chaos.stage import EHR, Stage
from tests.support.listener import Listener, listening
from tests.support.proxy import Fault, FaultProxy, fair

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
ENDS_MAX = 10
"""How often a service may end by itself before the run is given up."""
STANDSTILL_SECONDS_MAX = 60.0
"""How long nothing may change in any database, with everything up again, before what is missing counts as lost."""


@dataclass(frozen=True)
class Size:
    """How much of everything. Kills go on until everything is submitted and there were at least `kills_min`."""

    submissions: int
    seed: int
    clients: int = 24
    kills_min: int = 0
    pace: float = 1.0
    """Factor on the pauses between kills."""
    minutes_max: float = 600.0
    """After these no further submission begins; what began is finished."""


@dataclass
class Run:
    """What happened."""

    size: Size
    ledger: Ledger = field(default_factory=Ledger)
    kills: Counter[str] = field(default_factory=Counter)
    ended_by_themselves: Counter[str] = field(default_factory=Counter)
    faults: Counter[tuple[str, Fault]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    """What came of crashes of the database alone, after the storm."""
    subscription_id: str = ""
    """Through which a record system hears of referrals."""
    storm_seconds: float = 0.0
    calm_seconds: float = 0.0
    """From the last kill until the oracle found nothing any more, or gave up."""


async def storm(stage: Stage, size: Size, told: Callable[[Run], None] = lambda run: None) -> Run:
    """Runs until everything is submitted and settled; `told` hears of progress."""
    run = Run(size)
    async with AsyncExitStack() as stack:
        proxies = await stack.enter_async_context(stage.proxies(fair))
        listener = await stack.enter_async_context(listening(stage.listener_port))
        submitter = await stack.enter_async_context(submitting(stage.deployment, run.ledger))
        run.subscription_id = await subscribe(stage.deployment, stage.ehr_port)
        for proxy in proxies:
            proxy.follow(Faults(size.seed))
        began = time.monotonic()
        sending = asyncio.create_task(_submit(submitter, run, told))
        killing = asyncio.create_task(_kill(stage, run, sending, told))
        await asyncio.gather(sending, killing)
        run.storm_seconds = time.monotonic() - began
        await _examine_when_settled(stage, run, proxies, listener, told)
        run.calm_seconds = time.monotonic() - began - run.storm_seconds
        for proxy in proxies:
            run.faults.update(proxy.counts)
    return run


async def _submit(submitter: Submitter, run: Run, told: Callable[[Run], None]) -> None:
    """Every submission, so many clients at a time."""
    numbers = iter(range(run.size.submissions))
    until = time.monotonic() + run.size.minutes_max * 60

    async def work() -> None:
        for number in numbers:
            if time.monotonic() > until:
                return
            await submitter.submit(number)
            told(run)

    await asyncio.gather(*(work() for _ in range(run.size.clients)))


async def subscribe(deployment: LocalDeployment, port: int) -> str:
    """Lets a record system that listens on this port hear of every referral; the id of its Subscription."""
    async with http_client(timeout_seconds=30) as http:
        ehr = SuiteClient(deployment, http, EHR)
        level = {"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}
        subscription = {
            "resourceType": "Subscription",
            "status": "requested",
            "reason": "tell the record system of every referral",
            "criteria": f"{CANONICAL}/SubscriptionTopic/referral-changed",
            "channel": {
                "type": "rest-hook",
                "endpoint": f"http://127.0.0.1:{port}/notifications",
                "payload": "application/fhir+json",
                "_payload": {"extension": [level]},
            },
        }
        id_ = str((await ehr.create("referral", subscription))["id"])
        await ehr.wait_for("referral", "Subscription", _id=id_, status="active")
        return id_


async def _kill(stage: Stage, run: Run, sending: asyncio.Task[None], told: Callable[[Run], None]) -> None:
    """Kills and revives until everything is submitted and enough was killed; at the end everything is up."""
    reviving: dict[str, asyncio.Task[None]] = {}
    for kill in kills(run.size.seed):
        await asyncio.sleep(kill.pause_seconds * run.size.pace)
        if sending.done() and run.kills.total() >= run.size.kills_min:
            break
        if kill.target in reviving:
            await reviving[kill.target]
        if kill.manner is Manner.SERVICE and not kill.while_starting:
            await _wait_until_ready(stage, run, kill.target)
        await stage.kill(kill)
        run.kills[kill.target if kill.manner is Manner.SERVICE else f"{kill.target}: {kill.manner}"] += 1
        reviving[kill.target] = asyncio.create_task(_revive_later(stage, kill, run.size.pace))
        told(run)
    await asyncio.gather(*reviving.values())
    for name in stage.deployment.ports:
        await _wait_until_ready(stage, run, name)


async def _revive_later(stage: Stage, kill: Kill, pace: float) -> None:
    await asyncio.sleep(kill.down_seconds * pace)
    await stage.revive(kill)


async def _wait_until_ready(stage: Stage, run: Run, name: str) -> None:
    """Waits for a service; one that ended by itself is started again, as its supervisor would, and counted."""
    while True:
        try:
            await asyncio.to_thread(stage.processes.wait_until_ready, name)
        except SetupError:
            if run.ended_by_themselves[name] >= ENDS_MAX:
                raise
            run.ended_by_themselves[name] += 1
            stage.processes.start_one(name)
        else:
            return


async def _examine_when_settled(
    stage: Stage, run: Run, proxies: list[FaultProxy], listener: Listener, told: Callable[[Run], None]
) -> None:
    """Asks the oracle until it finds nothing, or until nothing has moved for long."""
    before: object = None
    moved_at = time.monotonic()
    while time.monotonic() - moved_at < STANDSTILL_SECONDS_MAX:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            async with stage.connections() as connections:
                now = [await _row_counts(connection) for connection in connections.values()]
                if now != before:
                    before, moved_at = now, time.monotonic()
                for proxy in proxies:
                    await proxy.settled()
                run.ledger.heard = heard(listener)
                run.findings = await examine(connections, run.ledger)
                run.findings += await examine_ehr(connections, run.ledger, run.subscription_id)
                run.findings += _refused_on_the_way(proxies)
        told(run)
        if not run.findings:
            return
        await asyncio.sleep(0.5)


async def _row_counts(connection: asyncpg.Connection) -> object:
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM fhir_version), (SELECT count(*) FROM received_event WHERE status = 'received'),"
        " (SELECT count(*) FROM subscription_event WHERE status = 'sent')"
    )
    return tuple(row)


def heard(listener: Listener) -> list[tuple[int, str]]:
    """Number and focus of each event that came."""
    found = []
    for body in list(listener.bodies):
        for parameter in orjson.loads(body)["entry"][0]["resource"]["parameter"]:
            if parameter["name"] == "notification-event":
                parts = {part["name"]: part for part in parameter["part"]}
                focus = parts["focus"]["valueReference"]["reference"]
                found.append((int(parts["event-number"]["valueString"]), "/".join(focus.rsplit("/", 2)[-2:])))
    return found


def _refused_on_the_way(proxies: list[FaultProxy]) -> list[Finding]:
    keys = tuple(f"{proxy.link} {status}" for proxy in proxies for status in proxy.refused)
    return [Finding("lost", "notification that was refused for good", keys)] * bool(keys)
