"""The published examples are created, read back as they were sent, and found again, with a table of how many."""

import asyncio
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stepwell_shared.fhir.registry import Registry
from stepwell_shared.settings import SERVICES

from tests.clients.journeys import register_tester
from tests.corpus.exact import Members, parse, written
from tests.corpus.examples import Example, download, examples
from tests.corpus.places import Place, RunningService, created_by_clients, open_engine, search
from tests.corpus.refusals import EXPLANATIONS, Explanation
from tests.corpus.values import EXACT, plain_parameters, values
from tests.support.engine import plain_registry
from tests.support.suite import Suite, running_suite

AT_ONCE = 8
VALUES_MAX = 12
# Valid, but not for a client to write so: forbidden, no such interaction, against a rule.
BY_RULE = frozenset({403, 405, 422})


@dataclass
class Account:
    """What came of the examples of one type."""

    examples: int = 0
    by_service: int = 0
    by_rule: int = 0
    by_engine: int = 0
    mended: int = 0
    refused: int = 0
    searches: int = 0


@dataclass
class Report:
    """The accounts by type, what is wrong, and which explanations were needed how often."""

    accounts: defaultdict[str, Account] = field(default_factory=lambda: defaultdict(Account))
    faults: list[str] = field(default_factory=list)
    explained: Counter[Explanation] = field(default_factory=Counter)

    def refuse(self, example: Example, body: bytes) -> None:
        """Counts a refusal; an issue that nothing explains is a fault."""
        self.accounts[example.resource_type].refused += 1
        for issue in json.loads(body)["issue"]:
            text = issue["diagnostics"]
            explanation = next((each for each in EXPLANATIONS if each.explains(text)), None)
            if explanation is None:
                self.faults.append(f"{example.name}: refused without an explanation: {text}")
            else:
                self.explained[explanation] += 1


def run() -> bool:
    """Prints the table; whether everything was stored exactly and found, or refused for a reason that is known.

    Runs inside `postgres.test_run()`.
    """
    package = download()
    # As they are written, not as the product lets clients write them.
    registries = {service: plain_registry(service) for service in SERVICES}
    types = {served.name for registry in registries.values() for served in registry if served.view is None}
    everything = list(examples(package, types))
    report = Report()
    for example in everything:
        report.accounts[example.resource_type].examples += 1
    with tempfile.TemporaryDirectory() as folder, running_suite(Path(folder)) as suite:
        remaining = asyncio.run(_at_the_services(suite, everything, report))
    asyncio.run(_at_the_engines(registries, remaining, report))
    _print(report)
    return not report.faults and bool(everything)


async def _at_the_services(suite: Suite, everything: Sequence[Example], report: Report) -> list[Example]:
    """What clients may create goes to the service that keeps it; what is left."""
    await register_tester(suite)
    remaining = list(everything)
    async with suite.clinic(name="tester") as clinic:
        for service in SERVICES:
            place = RunningService(clinic, service)
            registry = await _declared(place, service)
            ours = [each for each in remaining if each.resource_type in created_by_clients(registry)]
            stored, by_rule = await _store(place, ours, report)
            for example, _ in stored:
                report.accounts[example.resource_type].by_service += 1
            for example in by_rule:
                report.accounts[example.resource_type].by_rule += 1
            await _find(place, registry, stored, report)
            remaining = [each for each in remaining if each not in ours] + by_rule
    return remaining


async def _at_the_engines(registries: dict[str, Registry], remaining: list[Example], report: Report) -> None:
    """What only the product's own rules write, and what they refuse, goes to the engine without them."""
    for service, registry in registries.items():
        ours = [each for each in remaining if each.resource_type in registry.types]
        remaining = [each for each in remaining if each not in ours]
        async with open_engine(service) as place:
            stored, by_rule = await _store(place, ours, report)
            report.faults += [f"{example.name}: a rule where there is none" for example in by_rule]
            for example, _ in stored:
                report.accounts[example.resource_type].by_engine += 1
            await _find(place, registry, stored, report)


async def _declared(place: Place, service: str) -> Registry:
    """The service's types as /metadata declares them: those that it does not let clients create are left out."""
    status, body = await place.send("GET", "metadata")
    assert status == 200
    statement = json.loads(body)
    created = {
        each["type"]
        for each in statement["rest"][0]["resource"]
        if "create" in [interaction["code"] for interaction in each["interaction"]]
    }
    registry = plain_registry(service)
    registry.types = {name: served for name, served in registry.types.items() if name in created}
    return registry


async def _store(
    place: Place, ours: Iterable[Example], report: Report
) -> tuple[list[tuple[Example, str]], list[Example]]:
    """Creates and reads back; those stored with their ids, and those that a rule of the product refuses.

    What has no fault but an empty narrative is tried once more without it.
    """
    turns = asyncio.Semaphore(AT_ONCE)
    stored: list[tuple[Example, str]] = []
    by_rule: list[Example] = []

    async def one(example: Example) -> None:
        async with turns:
            status, body = await place.send("POST", example.resource_type, example.body)
            if status == 400 and all(" txt-2: " in issue["diagnostics"] for issue in json.loads(body)["issue"]):
                report.refuse(example, body)
                report.accounts[example.resource_type].mended += 1
                example = replace(example, content=example.content.without("text"))
                status, body = await place.send("POST", example.resource_type, example.body)
            if status in BY_RULE:
                by_rule.append(example)
                return
            if status != 201:
                report.refuse(example, body)
                return
            identity = str(json.loads(body)["id"])
            stored.append((example, identity))
            status, body = await place.send("GET", f"{example.resource_type}/{identity}")
            if status != 200 or (difference := _difference(example, body)):
                report.faults.append(f"{example.name}: read back {status}, {difference or body[:200]!r}")

    await asyncio.gather(*map(one, ours))
    return stored, by_rule


def _difference(example: Example, body: bytes) -> str:
    """Where what is read differs from what was sent, but for the id and what a server writes into meta."""
    read = parse(body)
    told = written(read.without("id", "meta"))
    if told != example.told:
        at = next((n for n, (a, b) in enumerate(zip(told, example.told, strict=False)) if a != b), len(example.told))
        return f"{told[at : at + 80]!r} instead of {example.told[at : at + 80]!r}"
    sent_meta, meta = example.content.get("meta") or Members(), read.get("meta") or Members()
    ours = ("versionId", "lastUpdated")
    if written(meta.without(*ours)) != written(sent_meta.without(*ours)):
        return f"meta {written(meta)} instead of {written(sent_meta)}"
    return ""


async def _find(place: Place, registry: Registry, stored: Sequence[tuple[Example, str]], report: Report) -> None:
    """Each type as a whole, and by what the examples say under its plain parameters."""
    for resource_type in dict.fromkeys(example.resource_type for example, _ in stored):
        held = {identity: example for example, identity in stored if example.resource_type == resource_type}
        found = [each for each in await search(place, resource_type, []) if each in held]
        if sorted(found) != sorted(held):
            report.faults.append(f"{resource_type}: {len(held)} are stored and {len(found)} found")
        names = iter(registry.types[resource_type].parameters)
        for name, kind, path in plain_parameters(resource_type, names):
            wanted: defaultdict[str, set[str]] = defaultdict(set)
            for identity, example in held.items():
                for value in values(example.content, path, kind):
                    wanted[value].add(identity)
            for value, expected in sorted(wanted.items(), key=lambda item: -len(item[1]))[:VALUES_MAX]:
                report.accounts[resource_type].searches += 1
                answered = set(await search(place, resource_type, [(name, value)])) & held.keys()
                if not expected <= answered or (kind in EXACT and answered != expected):
                    report.faults.append(f"{resource_type}?{name}={value}: {len(answered)} instead of {len(expected)}")


def _print(report: Report) -> None:
    names = ("examples", "refused", "mended", "service", "rule", "engine", "searches")
    print(f"  {'':22}" + "".join(f"{name:>10}" for name in names))
    totals: Counter[str] = Counter()
    for resource_type, account in sorted(report.accounts.items()):
        numbers = (
            *(account.examples, account.refused, account.mended, account.by_service),
            *(account.by_rule, account.by_engine, account.searches),
        )
        totals.update(dict(zip(names, numbers, strict=True)))
        print(f"  {resource_type:22}" + "".join(f"{number:10}" for number in numbers))
    print(f"  {'':22}" + "".join(f"{totals[name]:10}" for name in names))
    print("  mended: sent again without its empty narrative; service: stored at a running service; rule: valid, and")
    print("  refused there by a rule of the product; engine: stored at the engine without those rules;")
    print("  refused: not taken as it is, for these reasons:")
    for explanation in EXPLANATIONS:
        count = report.explained[explanation]
        if count == 0:
            report.faults.append(f"nothing is refused any more for {explanation.issue}")
        print(f"  {count:6} issues: {explanation.reason}")
    for fault in report.faults[:50]:
        print(f"  FAULT {fault}")
    if len(report.faults) > 50:
        print(f"  and {len(report.faults) - 50} faults more")
