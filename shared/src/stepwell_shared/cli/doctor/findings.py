"""What the doctor finds, and when something is wrong: pure judgements of what was seen, each with what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from stepwell_shared.auth.assertions import LEEWAY_SECONDS
from stepwell_shared.auth.audit_chain import Verified
from stepwell_shared.events.standing import Standing

# Product defaults: half of what tokens forgive; time enough to renew by hand.
CLOCK_SECONDS_NOTED = LEEWAY_SECONDS / 2
CERTIFICATE_DAYS_NOTED = 14
POSTGRESQL_OLDEST = 15


class State(StrEnum):
    """How something stands; worse comes later."""

    GOOD = "good"
    LOOK = "look at it"
    OPEN = "not known"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: where, what, how it stands, and what to do unless it is good."""

    place: str
    subject: str
    state: State
    told: str
    to_do: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """What PostgreSQL says of the login with which a service runs."""

    name: str
    is_superuser: bool
    bypasses_row_security: bool
    tables_owned: int


def of_server(place: str, version_number: int) -> Finding:
    """PostgreSQL's version, as `server_version_num` has it."""
    version = version_number // 10_000
    told = f"PostgreSQL {version}"
    if version < POSTGRESQL_OLDEST:
        to_do = f"Move to PostgreSQL {POSTGRESQL_OLDEST} or newer."
        return Finding(place, "server", State.WRONG, f"{told} is too old", to_do)
    return Finding(place, "server", State.GOOD, told)


def of_schema(place: str, service: str, missing: Sequence[str]) -> Finding:
    """Whether tables, columns and functions of this release are there. More than those is a newer release's."""
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        to_do = f"Run stepwell migrate {service} with the release that runs (STEPWELL_MIGRATION_DATABASE_URL)."
        return Finding(place, "schema", State.WRONG, f"not at this release: {shown} missing", to_do)
    return Finding(place, "schema", State.GOOD, "at this release")


def of_login(place: str, login: Login, unguarded: Sequence[str]) -> Finding:
    """Whether row-level security holds for the running service. `unguarded` are tables of tenants without it."""
    if login.is_superuser or login.bypasses_row_security:
        told = f"the login {login.name} passes by row-level security: tenants are not kept apart"
        to_do = f"Give the service a login of its own: ALTER ROLE {login.name} NOSUPERUSER NOBYPASSRLS."
        return Finding(place, "login", State.WRONG, told, to_do)
    if login.tables_owned:
        told = f"the login {login.name} owns {login.tables_owned} tables and could switch row-level security off"
        return Finding(
            place, "login", State.WRONG, told, "Migrate with another login, and run the service with this one."
        )
    if unguarded:
        told = f"row-level security is off for {', '.join(unguarded[:3])}"
        return Finding(place, "login", State.WRONG, told, "Run stepwell migrate: it switches it on.")
    return Finding(place, "login", State.GOOD, f"{login.name} is held by row-level security")


def of_clock(place: str, ahead_seconds: float) -> Finding:
    """How far a clock is from the one here."""
    told = f"{abs(ahead_seconds):.0f} s {'ahead of' if ahead_seconds > 0 else 'behind'} this machine"
    to_do = "Let a time service (NTP) set both clocks: tokens of a wrong hour are refused."
    if abs(ahead_seconds) > LEEWAY_SECONDS:
        return Finding(place, "clock", State.WRONG, told, to_do)
    if abs(ahead_seconds) > CLOCK_SECONDS_NOTED:
        return Finding(place, "clock", State.LOOK, told, to_do)
    return Finding(place, "clock", State.GOOD, "agrees with this machine")


def of_certificate(place: str, ends: datetime, now: datetime) -> Finding:
    """How long the certificate is good."""
    left = ends - now
    told = f"the certificate ends on {ends:%Y-%m-%d}"
    if left < timedelta(days=CERTIFICATE_DAYS_NOTED):
        state = State.WRONG if left < timedelta() else State.LOOK
        return Finding(place, "TLS", state, told, "Renew it, and see why nothing renews it by itself.")
    return Finding(place, "TLS", State.GOOD, told)


def of_tenants(known: dict[str, Sequence[str]]) -> Finding:
    """Whether every service has the same tenants; `known` by service."""
    everywhere = set.intersection(*map(set, known.values())) if known else set()
    partly = sorted({each for names in known.values() for each in names} - everywhere)
    if partly:
        lacking = sorted(service for service, names in known.items() if partly[0] not in names)
        told = f"{partly[0]} is unknown to {', '.join(lacking)}"
        return Finding("suite", "tenants", State.WRONG, told, f"Run stepwell tenant add {partly[0]}: it repairs.")
    if not everywhere:
        return Finding("suite", "tenants", State.LOOK, "there is none", "Run stepwell tenant add NAME.")
    return Finding("suite", "tenants", State.GOOD, ", ".join(sorted(everywhere)))


def of_deliveries(service: str, standings: Sequence[Standing], now: datetime, age_seconds_max: float) -> list[Finding]:
    """How what this service announces gets to the others, and to subscribers outside."""
    return [
        _peers(service, [each for each in standings if each.internal]),
        _outside(service, [each for each in standings if not each.internal]),
        _outbox(service, standings, now, age_seconds_max),
        _parked(service, standings),
    ]


def _peers(service: str, standings: Iterable[Standing]) -> Finding:
    failing = [each for each in standings if each.status != "active" or each.last_error]
    if failing:
        worst = failing[0]
        told = f"{worst.endpoint} does not take {_topic(worst)}: {worst.last_error or worst.status}"
        to_do = "See that it runs and is reached from here; what it is owed is sent by itself then."
        return Finding(service, "peers", State.WRONG, told, to_do)
    return Finding(service, "peers", State.GOOD, "the other services take what is announced")


def _outside(service: str, standings: Sequence[Standing]) -> Finding:
    failing = [each for each in standings if each.status in {"error", "off"} or each.last_error]
    if failing:
        worst = failing[0]
        why = worst.last_error or worst.status
        told = f"{len(failing)} of {len(standings)} fail; {worst.tenant}, {_topic(worst)}: {why}"
        to_do = f"stepwell deliveries list --service {service} --trouble, and tell its owner."
        return Finding(service, "subscribers", State.LOOK, told, to_do)
    return Finding(service, "subscribers", State.GOOD, f"{len(standings)} outside")


def _outbox(service: str, standings: Iterable[Standing], now: datetime, age_seconds_max: float) -> Finding:
    ages = [(now - each.oldest).total_seconds() for each in standings if each.oldest is not None]
    oldest = max(ages, default=0.0)
    told = f"the oldest event that is owed is {oldest:.0f} s old" if ages else "nothing is owed"
    if oldest > age_seconds_max:
        to_do = f"stepwell deliveries list --service {service} --trouble says to whom."
        return Finding(service, "outbox", State.LOOK, told, to_do)
    return Finding(service, "outbox", State.GOOD, told)


def _parked(service: str, standings: Iterable[Standing]) -> Finding:
    parked = [each for each in standings if each.parked]
    if parked:
        first, count = parked[0], sum(each.parked for each in parked)
        told = f"{count} {'event was' if count == 1 else 'events were'} refused again and again, and wait for a person"
        to_do = (
            f"stepwell deliveries show {service} {first.tenant} {first.subscription_id} says why; then replay or skip."
        )
        return Finding(service, "parked", State.WRONG, told, to_do)
    return Finding(service, "parked", State.GOOD, "none")


def of_listeners(
    service: str, tenant: str, wanted: Iterable[tuple[str, str]], standings: Sequence[Standing]
) -> Finding:
    """Whether every listener among our own is subscribed; `wanted` are topic and address."""
    there = {(each.topic, each.endpoint) for each in standings if each.internal and each.tenant == tenant}
    missing = [each for each in wanted if each not in there]
    if missing:
        topic, address = missing[0]
        told = f"{tenant}: {address} is not told of {topic.rpartition('/')[2]}"
        return Finding(
            service, "listeners", State.WRONG, told, f"Run stepwell tenant add {tenant}: it subscribes them."
        )
    return Finding(service, "listeners", State.GOOD, f"{tenant}: all are subscribed")


def of_audit(service: str, tenant: str, chain: Verified) -> Finding:
    """Whether anybody has changed what is on record."""
    if chain.faults:
        told = f"{tenant}: seal {chain.faults[0].number}: {chain.faults[0].text}"
        to_do = f"Keep the database as it is, and look with stepwell audit verify {service} --tenant {tenant}."
        return Finding(service, "audit", State.WRONG, told, to_do)
    return Finding(service, "audit", State.GOOD, f"{tenant}: {chain.entries:,} entries are whole")


def _topic(standing: Standing) -> str:
    return standing.topic.rpartition("/")[2]
