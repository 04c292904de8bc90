"""Searches of one wording share what was read of the first of them; nothing that belongs to one reaches another."""

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.search import query as queries
from stepwell_shared.fhir.search.query import SearchQuery, parse_search
from stepwell_shared.fhir.search.wordings import CHARACTERS_MAX

from tests.conftest import DatabaseOf
from tests.support.engine import NOW, Bench, patient
from tests.support.engine import bench as open_bench

Parameters = Sequence[tuple[str, str]]
ANN, BOB = "ann", "Patient/bob"
# What differs in how it is read, and what looks alike and means something else.
POOL = [
    *(("patient", each) for each in (ANN, "bob", BOB, "Patient/", "", "/ann", "ann,bob", "a b", "Group/ann", "x" * 65)),
    ("patient", "https://ehr.example.org/fhir/Patient/1"),
    *(("subject", each) for each in ("Patient/ann", "Group/ann", BOB, ANN, "Location/ann")),
    *(("encounter", each) for each in ("Encounter/ann", "e1")),
    *(("code", each) for each in ("a", "http://loinc.org|a", "Patient/ann", BOB, "a,b", "|")),
    *(("status", each) for each in ("final", "amended", "final,amended", "Patient/ann")),
    *(("date", each) for each in ("2026", "ap2026", "ge2026-01-01")),
    *(("_sort", each) for each in ("-date", "date", "_id", "-date,_id", "nonsense")),
    *(("_count", each) for each in ("5", "20", "0", "many", "9999")),
    *(("code:text", "alpha"), ("code:not", "a"), ("patient:missing", "true"), ("code:missing", "false")),
    *(("_total", "accurate"), ("_summary", "count"), ("_summary", "true"), ("_format", "json"), ("_elements", "code")),
    *(("_include", "Observation:patient"), ("_include", "Observation:nonsense"), ("nonsense", ANN), ("_id", ANN)),
    *(("patient.gender", "male"), ("identifier", "a|b"), ("_lastUpdated", "ge2026"), ("value-quantity", "7")),
]


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    async with open_bench(await database_of("measurement"), "measurement") as opened:
        yield opened


def read(bench: Bench, parameters: Parameters, *, strict: bool = True, granted: Sequence[str] = ()) -> SearchQuery:
    return parse_search(
        observations(bench),
        parameters,
        localise=bench.engine.localise,
        now=NOW,
        strict=strict,
        cursor_key=b"key",
        granted=granted,
        registry=bench.engine.registry,
    )


def observations(bench: Bench) -> ServedType:
    return bench.engine.registry.types["Observation"]


def shown(bench: Bench, parameters: Parameters) -> Any:
    """Everything that a search of these parameters comes to, or its refusal."""
    try:
        query = read(bench, parameters)
    except FhirError as error:
        return error.issues
    said = query.parameters, query.count, query.total, query.includes, query.order, query.plan.is_anchored
    return query.page_statement(), query.total_statement(), said, query.values.checks


async def test_a_search_reads_the_same_whatever_was_read_before(bench: Bench) -> None:
    chance = random.Random(20261122)
    remembered = observations(bench).remembered
    repeated = 0
    for _ in range(400):
        several = [chance.sample(POOL, chance.randint(1, 4)) for _ in range(3)]
        # The same words about others.
        several += [[(n, {ANN: "bob", BOB: "Patient/eve"}.get(v, v)) for n, v in each] for each in several]
        alone = []
        for each in several:
            remembered.clear()
            alone.append(shown(bench, each))
        remembered.clear()
        for each, wanted in zip(several, alone, strict=True):
            before = len(remembered)
            assert shown(bench, each) == wanted, each
            repeated += len(remembered) == before
    assert repeated > 400


@pytest.mark.parametrize(
    "parameters",
    [
        [("patient", "ann"), ("date", "ap2026")],  # what is about a date depends on today
        [("patient", "ann"), ("identifier", "a|b")],  # of these there are as many as resources
        [("patient", "ann"), ("patient.gender", "male")],  # what a chain reaches depends on who asks
        [("subject", "ann")],  # an id without a type has to be looked up
        [("patient", "ann"), ("subject", "Patient/ann")],  # which of the two is which cannot be told
        [("patient", "ann"), ("code", "c" * CHARACTERS_MAX)],
        [("patient", "ann"), ("nonsense", "x")],
    ],
)  # fmt: skip
async def test_what_may_mean_something_else_next_time_is_not_remembered(bench: Bench, parameters: Parameters) -> None:
    read(bench, parameters, strict=False)
    assert not observations(bench).remembered


async def test_a_search_that_scopes_narrow_shares_nothing(bench: Bench) -> None:
    read(bench, [("patient", "ann")])
    narrowed = read(bench, [("patient", "ann")], granted=["code=a"])
    assert len(narrowed.conditions) == 2
    assert len(read(bench, [("patient", "ann")]).conditions) == 1


async def test_what_one_caller_changes_of_its_query_stays_its_own(bench: Bench) -> None:
    for _ in range(2):
        query = read(bench, [("patient", "ann"), ("code", "a")])
        assert (query.count, query.values.entries[0]) == (20, "Patient/ann")
        query.count = 1
        query.values.entries[0] = "Patient/bob"
        query.parameters.clear()
        assert "LIMIT 2" in query.page_statement()[0]


async def test_no_more_wordings_are_kept_than_may_be(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "REMEMBERED_MAX", 3)
    for number in range(10):
        read(bench, [("patient", "ann"), ("code", str(number))])
        assert 0 < len(observations(bench).remembered) <= 3


async def test_two_searches_of_one_wording_find_each_their_own(bench: Bench) -> None:
    for who in ("ann", "bob"):
        await bench.update(patient(id=who))
        code = {"coding": [{"system": "http://loinc.org", "code": "a"}]}
        subject = {"reference": f"Patient/{who}"}
        await bench.update(
            {"resourceType": "Observation", "id": f"of-{who}", "status": "final", "code": code, "subject": subject}
        )
    for who in ("ann", "bob", "ann", "nobody"):
        found = await bench.found("Observation", f"patient={who}&code=a")
        assert found == ([] if who == "nobody" else [f"of-{who}"])
