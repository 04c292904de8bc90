"""R4 and R5 of the reliability goals: what is asked twice under one Idempotency-Key happens once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from stepwell_shared.fhir import idempotency, interactions
from stepwell_shared.fhir.idempotency import FORGOTTEN_PER_CALL_MAX, forget, keyed
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.store import Store
from stepwell_shared.fhir.unit import UnitOfWork

from tests.conftest import DatabaseOf
from tests.support.bundles import bundle_of, entries_of, entry, send, statuses
from tests.support.engine import NORTH, SOUTH, Bench, FakeAccess, Resource, patient
from tests.support.engine import bench as open_bench

KEY = {"idempotency-key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
P = "urn:uuid:0f2e1c7a-1111-4444-8888-000000000001"


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    async with open_bench(await database_of("screening")) as opened:
        yield opened


async def create(bench: Bench, resource: Resource, **given: Any) -> Response:
    headers = {**KEY, **given.pop("headers", {})}
    request = bench.request(resource["resourceType"], resource=resource, headers=headers, **given)
    return await keyed("create", interactions.create)(bench.engine, request)


def same(one: Response, other: Response) -> bool:
    return (one.status, one.headers, one.body, one.id) == (other.status, other.headers, other.body, other.id)


async def keys(bench: Bench, tenant: str = NORTH) -> list[str]:
    async with bench.database.transaction(tenant) as connection:
        return [row["key"] for row in await connection.fetch("SELECT key FROM idempotency_key ORDER BY key")]


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 256, "ä", "a\tb", "\x7f", '""', 'a"b'])
async def test_a_malformed_key_is_refused(bench: Bench, key: str) -> None:
    with pytest.raises(FhirError) as raised:
        await create(bench, patient(), headers={"idempotency-key": key})
    assert (raised.value.status, raised.value.issues[0].expression) == (400, "http.Idempotency-Key")
    assert await bench.found("Patient") == []


@pytest.mark.parametrize("key", ["a", "a" * 255, '"quoted"', "8e03978e-40d5-43dd-bc93-6894a57f9324"])
async def test_a_key_is_visible_ascii_quoted_or_not(bench: Bench, key: str) -> None:
    first = await create(bench, patient(), headers={"idempotency-key": key})
    assert same(first, await create(bench, patient(), headers={"idempotency-key": key}))
    assert await keys(bench) == [key.strip('"')]


@pytest.mark.parametrize(
    ("resource", "given"),
    [
        (patient(gender="male"), {}),
        (patient(), {"headers": {"if-none-exist": "gender=male"}}),
        (patient(), {"parameters": [("x", "y")]}),
        (patient(), {"access": FakeAccess(fhir_user="Practitioner/another")}),
    ],
)
async def test_r5_the_same_key_for_another_request_is_422(
    bench: Bench, resource: Resource, given: dict[str, Any]
) -> None:
    await create(bench, patient())
    with pytest.raises(FhirError) as raised:
        await create(bench, resource, **given)
    assert raised.value.status == 422
    assert len(await bench.found("Patient")) == 1


async def test_r5_the_first_answer_is_given_again_even_when_the_resource_has_moved_on(bench: Bench) -> None:
    first = await create(bench, patient())
    await bench.update(patient(id=first.id, gender="male"))
    await bench.delete("Patient", first.id)
    assert same(first, await create(bench, patient()))
    assert await bench.found("Patient") == []


async def test_r5_64_at_once_are_one_effect_and_one_answer(bench: Bench) -> None:
    answers = await asyncio.gather(*(create(bench, patient()) for _ in range(64)))
    assert all(same(answers[0], each) for each in answers)
    assert len(await bench.found("Patient")) == 1


async def test_r5_two_replicas_give_one_answer(bench: Bench) -> None:
    async with open_bench(bench.urls) as other:
        other.engine.__dict__["new_id"] = lambda: "other-replica"
        answers = await asyncio.gather(*(create(each, patient()) for _ in range(16) for each in (bench, other)))
    assert all(same(answers[0], each) for each in answers)
    assert len(await bench.found("Patient")) == 1


async def test_the_same_key_of_another_client_or_tenant_is_another_key(bench: Bench) -> None:
    for access in (FakeAccess(), FakeAccess(client_id="another"), FakeAccess(tenant=SOUTH)):
        await create(bench, patient(gender="male" if access.tenant == SOUTH else "other"), access=access)
    assert len(await bench.found("Patient")) == 2
    assert len(await keys(bench)) == 2
    assert len(await keys(bench, SOUTH)) == 1


async def test_a_refusal_is_not_kept(bench: Bench) -> None:
    """Nothing happened; what was missing may be there the next time."""
    with pytest.raises(FhirError):
        await create(bench, patient(gender="unknowable"))
    assert await keys(bench) == []
    assert (await create(bench, patient())).status == 201


async def test_an_answer_without_an_effect_is_kept_too(bench: Bench) -> None:
    await bench.update(patient(id="a", gender="male"))
    condition = {"headers": {"if-none-exist": "gender=male"}}
    first = await create(bench, patient(gender="male"), **condition)
    await bench.delete("Patient", "a")
    assert same(first, await create(bench, patient(gender="male"), **condition))
    assert await bench.found("Patient") == []


async def test_r4_a_commit_whose_answer_is_lost_is_answered_on_retry(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Store.commit

    async def lose(store: Store, unit: UnitOfWork) -> None:
        await commit(store, unit)
        raise FhirError(Category.UNAVAILABLE, "the connection broke")

    monkeypatch.setattr(Store, "commit", lose)
    with pytest.raises(FhirError):
        await create(bench, patient())
    monkeypatch.setattr(Store, "commit", commit)
    again = await create(bench, patient())
    assert (again.status, [again.id]) == (201, await bench.found("Patient"))


async def test_r4_a_commit_that_failed_leaves_neither_effect_nor_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(store: Store, unit: UnitOfWork) -> None:
        raise FhirError(Category.UNAVAILABLE, "the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(Store, "commit", fail)
        with pytest.raises(FhirError):
            await create(bench, patient())
    assert (await bench.found("Patient"), await keys(bench)) == ([], [])
    assert (await create(bench, patient())).status == 201


class TestBundles:
    async def test_r5_a_transaction_happens_once(self, bench: Bench) -> None:
        sent = bundle_of("transaction", entry("POST", "Patient", patient(), fullUrl=P), entry("GET", "Patient/zz"))
        with pytest.raises(FhirError):
            await send(bench, sent, headers=KEY)
        await bench.update(patient(id="zz"))
        answers = await asyncio.gather(*(send(bench, sent, headers=KEY) for _ in range(16)))
        assert all(same(answers[0], each) for each in answers)
        assert len(await bench.found("Patient")) == 2

    async def test_r5_a_transaction_with_a_key_does_not_search_what_it_writes(self, bench: Bench) -> None:
        sent = bundle_of("transaction", entry("POST", "Patient", patient()), entry("GET", "Patient?gender=male"))
        with pytest.raises(FhirError) as raised:
            await send(bench, sent, headers=KEY)
        assert raised.value.issues[0].expression == "Bundle.entry[1].request"
        assert await bench.found("Patient") == []

    async def test_r5_a_batch_happens_once_with_its_refusals(self, bench: Bench) -> None:
        sent = bundle_of("batch", entry("POST", "Patient", patient()), entry("GET", "Patient/zz"))
        first = await send(bench, sent, headers=KEY)
        await bench.update(patient(id="zz"))
        assert same(first, await send(bench, sent, headers=KEY))
        assert statuses(entries_of(first)) == ["201", "404"]
        assert len(await bench.found("Patient")) == 2

    async def test_r4_a_batch_that_broke_off_goes_on_where_it_stopped(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit = Store.commit
        answered: list[UnitOfWork] = []

        async def break_off(store: Store, unit: UnitOfWork) -> None:
            if answered:
                raise FhirError(Category.UNAVAILABLE, "the database is away")
            answered.append(unit)
            await commit(store, unit)

        sent = bundle_of("batch", *(entry("POST", "Patient", patient(gender=each)) for each in ("male", "female")))
        with monkeypatch.context() as broken:
            broken.setattr(Store, "commit", break_off)
            with pytest.raises(FhirError):
                await send(bench, sent, headers=KEY)
        assert len(await bench.found("Patient")) == 1
        await send(bench, sent, headers=KEY)
        assert len(await bench.found("Patient")) == 2

    async def test_a_narrower_token_is_not_given_what_a_wider_one_read(self, bench: Bench) -> None:
        sent = bundle_of("batch", entry("GET", "Patient"))
        await send(bench, sent, headers=KEY)
        narrow = FakeAccess(denied=frozenset({"Patient.read", "Patient.search-type"}))
        with pytest.raises(FhirError) as raised:
            await send(bench, sent, headers=KEY, access=narrow)
        assert raised.value.status == 422


class TestRetention:
    async def test_old_answers_are_forgotten_and_the_key_is_free_again(self, bench: Bench) -> None:
        await create(bench, patient())
        await create(bench, patient(), access=FakeAccess(tenant=SOUTH))
        assert await forget(bench.engine.store, [NORTH], bench.clock.now) == 0
        bench.clock.advance(hours=25)
        assert await forget(bench.engine.store, [NORTH], bench.clock.now - timedelta(hours=24)) == 1
        assert (await keys(bench), len(await keys(bench, SOUTH))) == ([], 1)
        assert (await create(bench, patient(gender="male"))).status == 201

    async def test_many_are_forgotten_in_steps(self, bench: Bench) -> None:
        async with bench.database.transaction(NORTH) as connection:
            await connection.execute(
                "INSERT INTO idempotency_key SELECT $1, 'c', n::text, '', 200, '{}', '', '', $2"
                " FROM generate_series(1, $3) AS n",
                NORTH, bench.clock.now, FORGOTTEN_PER_CALL_MAX + 5,
            )  # fmt: skip
        later = bench.clock.now + timedelta(seconds=1)
        assert await forget(bench.engine.store, [NORTH], later) == FORGOTTEN_PER_CALL_MAX + 5

    async def test_the_loop_goes_on_after_an_outage(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        await create(bench, patient())
        bench.clock.advance(hours=25)
        asked: list[str] = []
        done = asyncio.Event()

        async def tenants() -> list[str]:
            asked.append(NORTH)
            if len(asked) == 1:
                raise ConnectionRefusedError
            done.set()
            return asked[:1]

        monkeypatch.setattr(idempotency, "FORGETTING_SECONDS", 0.001)
        loop = asyncio.create_task(idempotency.keep_forgetting(bench.engine.store, tenants, bench.clock, 24))
        await asyncio.wait_for(done.wait(), 10)
        await asyncio.sleep(0.2)
        loop.cancel()
        assert await keys(bench) == []
