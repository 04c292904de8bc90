"""What a search may cost: one coding in columns, ids found first, and an end to what takes too long."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
import pytest
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.search import plans
from stepwell_shared.fhir.search.query import SearchQuery, parse_search
from stepwell_shared.fhir.store import Store

from tests.conftest import DatabaseOf
from tests.support.engine import NORTH, NOW, Bench, ids_in, patient
from tests.support.engine import bench as open_bench

LOINC = "http://loinc.org"
LOCAL = "urn:local"


def coding(code: str, system: str = LOINC, **members: Any) -> dict[str, Any]:
    return {"system": system, "code": code, **members}


def observation(id_: str, *codings: dict[str, Any], subject: str = "Patient/ann", **members: Any) -> dict[str, Any]:
    code: dict[str, Any] = {"coding": [*codings]} if codings else {"text": "words alone"}
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": code,
        "subject": {"reference": subject},
        **members,
    }


OBSERVATIONS = [
    observation("one", coding("a", display="Alpha"), effectiveDateTime="2026-01-01"),
    observation("both", coding("a"), coding("b", LOCAL, display="Beta"), effectiveDateTime="2026-01-02"),
    observation("other", coding("b", LOCAL), effectiveDateTime="2026-01-03", valueQuantity={"value": 7}),
    observation("bare", {"code": "a"}, effectiveDateTime="2026-01-04", valueQuantity={"value": 7, "comparator": "<"}),
    observation("words", effectiveDateTime="2026-01-05", valueQuantity={"value": 9, "comparator": ">"}),
    observation("undated", coding("a"), subject="https://ehr.example.org/fhir/Patient/9"),
    observation("of-group", coding("c"), subject="Group/g", encounter={"reference": "Encounter/e"}),
]


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    async with open_bench(await database_of("measurement"), "measurement") as opened:
        await opened.update(patient(id="ann"))
        for each in OBSERVATIONS:
            opened.clock.advance(seconds=1)
            await opened.update(each)
        yield opened


def query_of(bench: Bench, *parameters: tuple[str, str]) -> SearchQuery:
    served_type: ServedType = bench.engine.registry.types["Observation"]
    return parse_search(
        served_type, parameters, localise=bench.engine.localise, now=NOW, strict=True, cursor_key=b"", registry=None
    )


CASES = [
    ("code=a", "bare both one undated"),
    ("code=http://loinc.org|a", "both one undated"),
    ("code=|a", "bare"),
    ("code=http://loinc.org|", "both of-group one undated"),
    ("code=urn:local|b", "both other"),
    ("code=a,b", "bare both one other undated"),
    ("code=a,http://loinc.org|a", "bare both one undated"),
    ("code=a&code=b", "both"),
    ("code:not=a", "of-group other words"),
    ("code:text=alph", "one"),
    ("code:text=beta", "both"),
    ("code:text=words", "words"),
    ("code:missing=true", ""),
    ("code=a&_sort=-date", "bare both one undated"),
    ("code=a&_sort=date", "one both bare undated"),
    ("code=a&patient=ann&_sort=-date", "bare both one"),
    ("_sort=-date,_id&code=a", "bare both one undated"),
    ("_sort=code,_id&code:missing=false&status=final", "bare both one undated other of-group words"),
    ("_sort=-code,_id", "of-group both other bare one undated words"),
    ("code-value-quantity=urn:local|b$7", "other"),
    ("combo-code=b", "both other"),
    ("_has:Observation:has-member:code=a", ""),
    ("subject=Group/g", "of-group"),
    ("subject=g", "of-group"),
    ("subject=https://ehr.example.org/fhir/Patient/9", "undated"),
    ("patient=https://ehr.example.org/fhir/Patient/9", "undated"),
    ("subject=Patient/ann&code=urn:local|b", "both other"),
    ("encounter=Encounter/e", "of-group"),
    ("value-quantity=7", "other"),
    ("value-quantity=gt8", "words"),
    ("value-quantity=lt7", "bare"),
    ("value-quantity=le7&_sort=-date", "bare other"),
    ("value-quantity=ge7&code=b", "other"),
    ("category=survey&code=a", ""),
    ("_lastUpdated=gt2026-11-21T20:54:03Z&_sort=-_lastUpdated", "of-group undated words bare"),
    ("_lastUpdated=2026-11-21T20:54:01Z", "one"),
]


@pytest.mark.parametrize("few_max", [2_000, 0])
async def test_both_ways_find_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch, few_max: int) -> None:
    """With a bound of none everything that can be many is walked."""
    monkeypatch.setattr(plans, "FEW_MAX", few_max)
    for query, expected in CASES:
        assert " ".join(await bench.found("Observation", query)) == expected, query


FILLED = """
SELECT set_config('stepwell.tenant', 'filled', false);
INSERT INTO fhir_observation (tenant, id, version, last_updated, body, p_patient, p_subject, p_code, p_date_low)
  SELECT 'filled', n::text, 1, '2026-01-01'::timestamptz + make_interval(secs => n), '{}',
    CASE WHEN n % 50 > 0 THEN 'Patient/' || n % 500 END,
    CASE WHEN n % 50 > 0 THEN 'Patient/' ELSE 'Group/' END || n % 500,
    'c' || n % 20, '2026-01-01'::timestamptz + make_interval(hours => n % 1000) FROM generate_series(1, 20000) AS n;
INSERT INTO fhir_observation_number (tenant, id, parameter, ordinal, key_system, key_code, low, high)
  SELECT 'filled', n::text, 'value-quantity', 0, '', '', n % 100, n % 100 FROM generate_series(1, 20000) AS n;
INSERT INTO fhir_observation_index (tenant, id, parameter, system, code)
  SELECT 'filled', n::text, 'category', '', 'c' || n % 3 FROM generate_series(1, 20000) AS n;
ANALYZE fhir_observation; ANALYZE fhir_observation_number; ANALYZE fhir_observation_index;
"""
PLANS = [
    ("patient=1&code=c1&_sort=-date", "fhir_observation_patient_code_date_desc"),
    ("_sort=-_lastUpdated", "fhir_observation_last_updated"),
    ("_sort=_lastUpdated", "fhir_observation_last_updated"),
    ("_lastUpdated=gt2026-11-21", "fhir_observation_last_updated"),
    ("_sort=-date", "fhir_observation_date_desc"),
    ("_sort=date", "fhir_observation_date_desc"),
    ("code=c1&_sort=-date", "fhir_observation_code_date_desc"),
    ("code=c1&_sort=date", "fhir_observation_code_date_desc"),
    ("value-quantity=5", "fhir_observation_number_value"),
    ("value-quantity=gt500", "fhir_observation_number_high"),
    ("subject=Group/50", "fhir_observation_subject"),
    ("encounter=Encounter/e", "fhir_observation_encounter"),
    ("category=nothing&_sort=-date", "fhir_observation_index_code"),
]


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
async def test_every_plan_keeps_to_the_indexes_whether_it_knows_the_values_or_not(bench: Bench, mode: str) -> None:
    connection = await asyncpg.connect(bench.urls.owner)
    try:
        await connection.execute(f"{FILLED} SET plan_cache_mode = {mode}")
        for number, (text, index) in enumerate(PLANS):
            plan = await plan_of(connection, query_of(bench, *parse_qsl(text)), f"search_{number}")
            assert index in plan, text
            assert "Seq Scan" not in plan, text
    finally:
        await connection.close()


async def plan_of(connection: asyncpg.Connection, query: SearchQuery, name: str) -> str:
    statement, values = query.page_statement()
    tenant = "(SELECT $2::text[]) AS v, set_config('stepwell.tenant', $1, true) AS s(tenant)"
    text = f"SELECT f.* FROM {tenant} CROSS JOIN LATERAL ({statement}) AS f"
    await connection.execute(f"PREPARE {name}(text, text[]) AS {text}")
    given = ", ".join(f"'{value}'" for value in values)
    rows = await connection.fetch(f"EXPLAIN EXECUTE {name}('filled', ARRAY[{given}]::text[])")
    return "\n".join(row[0] for row in rows)


async def test_a_search_that_takes_too_long_is_refused_and_its_connection_serves_on(bench: Bench) -> None:
    store = Store(bench.database, search_seconds_max=0.2)
    refusals = await asyncio.gather(
        *(store.search(NORTH, "SELECT pg_sleep(30)", []) for _ in range(3)), return_exceptions=True
    )
    for refusal in refusals:
        assert isinstance(refusal, FhirError)
        assert (refusal.status, refusal.issues[0].code) == (400, "too-costly")
    assert [row["one"] for row in await store.search(NORTH, "SELECT 1 AS one", [])] == [1]
    assert ids_in(await bench.search("Observation", "code=urn:local|b")) == ["both", "other"]
