"""Compares the clients' ledger with the four databases, by SQL, past the services: what is lost, doubled or missing.

It knows nothing of how the services work, only what they promise: one acknowledged response is one response, one
score, one tier assignment and one referral Task, and the numbers of a subscription's events have no gap.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from tests.chaos.ledger import Ledger

Resource = dict[str, Any]
Connections = Mapping[str, asyncpg.Connection]

SENT = "sent"
RECEIVED = "received"
KEYS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise that is broken, and for whom."""

    kind: str
    """lost, doubled, gap or wrong."""
    text: str
    keys: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.keys[:KEYS_SHOWN])
        return f"{self.kind}: {len(self.keys)} x {self.text}: {shown}{' ...' if len(self.keys) > KEYS_SHOWN else ''}"


async def examine(connections: Connections, ledger: Ledger) -> list[Finding]:
    """Everything that is wrong; empty when every promise was kept."""
    found = [Finding("wrong", text, tuple(keys)) for text, keys in ledger.wrong.items()]
    found += _one_each("acknowledgement", _identifiers(ledger), Counter(s.identifier for s in ledger.acknowledged))
    found += await _resources(connections, ledger)
    for service, connection in connections.items():
        found += await _numbers_sent(service, connection)
        found += await _numbers_received(service, connection)
        found += await _versions(service, connection)
    found += await _told_and_heard(connections)
    return found


async def examine_ehr(connections: Connections, ledger: Ledger, subscription_id: str) -> list[Finding]:
    """Whether a record system that listens to referral-changed heard of every Task, under numbers without a gap."""
    by_number: dict[int, set[str]] = defaultdict(set)
    for number, focus in ledger.heard:
        by_number[number].add(focus)
    rows = await connections["referral"].fetch(
        "SELECT event_number, focus FROM subscription_event WHERE subscription_id = $1", subscription_id
    )
    told = {row["event_number"]: {row["focus"]} for row in rows}
    differing = [str(n) for n in sorted(told.keys() | by_number.keys()) if told.get(n) != by_number.get(n)]
    found = _gaps("EHR", by_number)
    return found + (
        [Finding("wrong", "number that the EHR heard of something else", tuple(differing))] * bool(differing)
    )


def _identifiers(ledger: Ledger) -> list[str]:
    return [each.identifier for each in ledger.submissions.values()]


async def _resources(connections: Connections, ledger: Ledger) -> list[Finding]:
    """One resource of each type for each acknowledged submission, and none for anybody else."""
    people = {each.patient_id: each.identifier for each in ledger.acknowledged}
    responses = {each.response_id: each.identifier for each in ledger.acknowledged}
    identifiers = list(people.values())
    found: list[Finding] = []
    for type_, ids in (("Patient", people), ("QuestionnaireResponse", responses)):
        stored = await _current(connections["screening"], type_)
        found += _one_each(type_, identifiers, Counter(_identifier(each) for each in stored))
        held = {each["id"] for each in stored}
        lost = tuple(identifier for id_, identifier in ids.items() if id_ not in held)
        found += [Finding("lost", f"{type_} that was acknowledged", lost)] * bool(lost)
    for service, type_, element in (
        ("measurement", "Observation", "subject"),
        ("routing", "ServiceRequest", "subject"),
        ("referral", "Task", "for"),
    ):
        stored = await _current(connections[service], type_)
        owners = [each[element]["reference"].rpartition("/")[2] for each in stored]
        found += _one_each(type_, identifiers, Counter(people.get(owner, owner) for owner in owners))
        changed = tuple(each["id"] for each in stored if each["meta"]["versionId"] != "1")
        found += [Finding("doubled", f"{type_} that was written more than once", changed)] * bool(changed)
    for service in ("routing", "referral", "measurement"):
        copies = await _current(connections[service], "Patient")
        found += _one_each(f"copy of Patient in {service}", identifiers, Counter(_identifier(each) for each in copies))
    return found


async def _current(connection: asyncpg.Connection, type_: str) -> list[Resource]:
    rows = await connection.fetch(f"SELECT body FROM fhir_{type_.lower()} WHERE body IS NOT NULL ORDER BY id")
    return [orjson.loads(row["body"]) for row in rows]


def _identifier(resource: Resource) -> str:
    given = resource.get("identifier", {})
    return str((given[0] if isinstance(given, list) else given).get("value"))


def _one_each(what: str, wanted: Iterable[str], counted: Counter[str]) -> list[Finding]:
    """What is wanted and not there, there twice, or there and not wanted."""
    wanted = set(wanted)
    sorts = {
        ("lost", f"missing {what}"): wanted - counted.keys(),
        ("doubled", f"{what} that is there twice"): {key for key, count in counted.items() if count > 1},
        ("doubled", f"{what} of nobody who submitted"): counted.keys() - wanted,
    }
    return [Finding(kind, text, tuple(sorted(keys))) for (kind, text), keys in sorts.items() if keys]


# Which status of the focus the filters of our subscriptions leave out; another filter has to be added here.
_UNWANTED = {"[]": frozenset[str](), '["Task?status:not=draft"]': frozenset({"draft"})}
_ANNOUNCED = """
SELECT o.topic, o.position, convert_from(v.body, 'UTF8')::jsonb ->> 'status' AS status
FROM outbox AS o LEFT JOIN fhir_version AS v
  ON v.tenant = o.tenant AND v.resource_type = split_part(o.focus, '/', 1) AND v.id = split_part(o.focus, '/', 2)
  AND v.version = (convert_from(o.payload, 'UTF8')::jsonb -> 0 ->> 'version')::integer"""


async def _numbers_sent(service: str, connection: asyncpg.Connection) -> list[Finding]:
    """Each subscription's numbers run from 1 without a gap, all sent, each for another event, and no event without."""
    found: list[Finding] = []
    events = await connection.fetch(
        "SELECT subscription_id, event_number, outbox_position, status FROM subscription_event ORDER BY 1, 2"
    )
    states = await connection.fetch("SELECT subscription_id, topic, filters, next_event_number FROM subscription_state")
    announced = await connection.fetch(_ANNOUNCED)
    for state in states:
        name = f"{service} {state['topic'].rpartition('/')[2]} {state['subscription_id'][:8]}"
        mine = [each for each in events if each["subscription_id"] == state["subscription_id"]]
        found += _gaps(name, [each["event_number"] for each in mine], state["next_event_number"] - 1)
        unsent = tuple(f"{name} #{each['event_number']} {each['status']}" for each in mine if each["status"] != SENT)
        found += [Finding("lost", "number that was not sent", unsent)] * bool(unsent)
        unwanted = _UNWANTED[state["filters"]]
        asked = [row for row in announced if row["topic"] == state["topic"] and row["status"] not in unwanted]
        wanted = [str(row["position"]) for row in asked]
        found += _one_each(f"event of {name}", wanted, Counter(str(each["outbox_position"]) for each in mine))
    return found


async def _numbers_received(service: str, connection: asyncpg.Connection) -> list[Finding]:
    found: list[Finding] = []
    rows = await connection.fetch("SELECT subscription, event_number, status FROM received_event ORDER BY 1, 2")
    by_subscription: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_subscription[row["subscription"]].append(row["event_number"])
    for subscription, numbers in by_subscription.items():
        found += _gaps(f"{service} from {subscription[-8:]}", numbers)
    odd = tuple(f"{r['subscription'][-8:]} #{r['event_number']} {r['status']}" for r in rows if r["status"] != RECEIVED)
    return found + [Finding("lost", f"number that {service} did not take", odd)] * bool(odd)


def _gaps(name: str, numbers: Iterable[int], last: int | None = None) -> list[Finding]:
    there = set(numbers)
    missing = sorted(set(range(1, (max(there, default=0) if last is None else last) + 1)) ^ there)
    keys = tuple(f"{name} #{number}" for number in missing)
    return [Finding("gap", "event number", keys)] * bool(keys)


async def _told_and_heard(connections: Connections) -> list[Finding]:
    """Whoever took a number took it for what its sender gave it to."""
    told: dict[tuple[str, int], str] = {}
    heard: dict[tuple[str, int], str] = {}
    internal: set[str] = set()
    for connection in connections.values():
        rows = await connection.fetch("SELECT subscription_id FROM subscription_state WHERE internal")
        internal |= {row["subscription_id"] for row in rows}
        for row in await connection.fetch("SELECT subscription_id, event_number, focus FROM subscription_event"):
            told[row["subscription_id"], row["event_number"]] = row["focus"]
        for row in await connection.fetch("SELECT subscription, event_number, focus FROM received_event"):
            key = row["subscription"].rpartition("/")[2], row["event_number"]
            heard[key] = "/".join(row["focus"].rsplit("/", 2)[-2:])
    told = {key: focus for key, focus in told.items() if key[0] in internal}
    differing = sorted(key for key in told.keys() | heard.keys() if told.get(key) != heard.get(key))
    keys = tuple(f"{subscription[:8]} #{number}" for subscription, number in differing)
    return [Finding("wrong", "number that sender and receiver do not agree on", keys)] * bool(keys)


async def _versions(service: str, connection: asyncpg.Connection) -> list[Finding]:
    """The versions of each resource run from 1 to its current one."""
    rows = await connection.fetch(
        "SELECT resource_type, id, array_agg(version ORDER BY version) AS versions FROM fhir_version GROUP BY 1, 2"
    )
    broken = [r for r in rows if list(r["versions"]) != list(range(1, len(r["versions"]) + 1))]
    keys = tuple(f"{service} {row['resource_type']}/{row['id']}" for row in broken)
    return [Finding("gap", "version", keys)] * bool(keys)


def tally(findings: Sequence[Finding]) -> Counter[str]:
    """How many keys are concerned, by kind."""
    counted: Counter[str] = Counter()
    for finding in findings:
        counted[finding.kind] += len(finding.keys)
    return counted
