"""Rows B1 and B3: operations, and addresses of the whole service and of compartments, as entries of Bundles."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.registry import Interaction, Operation

from tests.conftest import DatabaseOf
from tests.support.bundles import do_batch, entry, places, refused, statuses, transact
from tests.support.engine import Bench, FakeAccess, patient, plain_registry, response
from tests.support.engine import bench as open_bench
from tests.support.horizon import settled

PARAMETERS = b'{"resourceType":"Parameters"}'
ANYTHING = {"resourceType": "Parameters"}
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    """Screening's types with operations of each kind: `$ask` only looks, `$act` changes something."""
    registry = plain_registry("screening")
    opened: list[Bench] = []

    async def ask(request: Request) -> Response:
        return Response(200, PARAMETERS, id=request.id)

    async def act(request: Request) -> Response:
        return await opened[0].update(patient(id="acted"))

    def both(*, instance: bool) -> tuple[Operation, ...]:
        return (
            Operation("ask", ask, Interaction.READ, "", instance=instance, affects_state=False),
            Operation("act", act, Interaction.UPDATE, "", instance=instance),
        )

    operations = (*both(instance=True), *both(instance=False))
    registry.types["Patient"] = replace(registry.types["Patient"], operations=operations)
    registry.operations = both(instance=False)
    async with open_bench(await database_of("screening"), registry=registry) as made:
        opened.append(made)
        yield made


async def test_b1_a_batch_takes_every_operation(bench: Bench) -> None:
    await bench.update(patient(id="a"))
    found = await do_batch(
        bench,
        entry("POST", "Patient/$validate", patient(gender="unknowable")),
        entry("POST", "Patient/a/$validate?mode=delete"),
        entry("POST", "Patient/a/$nonsense"),
        entry("GET", "Patient/$nonsense"),
        entry("GET", "Patient/$validate"),
        entry("GET", "Patient/a/$ask"),
        entry("GET", "Patient/$ask?name=value"),
        entry("POST", "Patient/$act", ANYTHING),
        entry("GET", "Patient/$act"),
        entry("GET", "$ask"),
        entry("POST", "$ask", ANYTHING),
        entry("POST", "$act"),
        entry("POST", "$nonsense"),
        entry("GET", "Patient/nobody/$ask"),
    )
    assert statuses(found) == [
        *("200", "200", "404", "404", "405", "200", "200"),
        *("201", "405", "200", "200", "200", "404", "404"),
    ]
    assert found[0]["response"]["outcome"]["issue"][0]["severity"] == "error"
    assert found[5]["resource"] == found[9]["resource"] == {"resourceType": "Parameters"}


async def test_b1_an_operation_needs_its_own_right(bench: Bench) -> None:
    await bench.update(patient(id="a", gender="male"))
    access = FakeAccess(denied=frozenset({"Patient.update", "*.update"}))
    found = await do_batch(
        bench, entry("POST", "Patient/$act"), entry("POST", "$act"), entry("GET", "Patient/a/$ask"), access=access
    )
    assert statuses(found) == ["403", "403", "200"]
    narrowed = FakeAccess(narrowed={"Patient.read": ["gender=female"]})
    assert statuses(await do_batch(bench, entry("GET", "Patient/a/$ask"), access=narrowed)) == ["404"]
    assert (await refused(bench, entry("GET", "$ask"), access=FakeAccess(denied=frozenset({"*.read"})))).status == 403


async def test_i13_an_operation_is_of_what_is_there_and_takes_valid_bodies(bench: Bench) -> None:
    await bench.update(patient(id="a"))
    await bench.delete("Patient", "a")
    bad = {"resourceType": "Parameters", "parameter": [{"valueString": "x"}]}
    found = await do_batch(
        bench,
        entry("GET", "Patient/a/$ask"),
        entry("POST", "Patient/$ask", bad),
        entry("POST", "Patient/$ask", {"resourceType": "Nothing"}),
        entry("POST", "Patient/$ask", patient()),
    )
    assert statuses(found) == ["410", "400", "400", "200"]
    assert found[1]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1].resource.parameter[0].name"]


@pytest.mark.parametrize("url", ["Patient/$act", "Patient/a/$act", "$act"])
async def test_b3_a_transaction_takes_no_operation_that_changes_something(bench: Bench, url: str) -> None:
    error = await refused(bench, entry("PUT", "Patient/a", patient(id="a")), entry("POST", url, ANYTHING))
    assert (error.status, places(error)) == (400, ["Bundle.entry[1].request.url"])
    assert await bench.found("Patient") == []


@pytest.mark.parametrize(("method", "url", "status"), [
    ("POST", "Patient/$nonsense", 404), ("GET", "$nonsense", 404), ("GET", "$act", 400),
    ("GET", "Patient/$validate", 400), ("GET", "Patient/nobody/$ask", 404),
])  # fmt: skip
async def test_b3_an_operation_that_cannot_be_answered_fails_the_whole(
    bench: Bench, method: str, url: str, status: int
) -> None:
    error = await refused(bench, entry("PUT", "Patient/a", patient(id="a")), entry(method, url))
    assert error.status == status
    assert str(places(error)[0]).startswith("Bundle.entry[1]")
    assert await bench.found("Patient") == []


async def test_b3_operations_that_only_look_are_answered_with_the_transaction(bench: Bench) -> None:
    found = await transact(
        bench,
        entry("POST", "Patient/a/$validate?mode=delete"),
        entry("PUT", "Patient/a", patient(id="a")),
        entry("GET", "Patient/a/$ask"),
        entry("POST", "$ask", ANYTHING),
        entry("POST", f"Patient/$validate?profile={US_CORE}", patient()),
    )
    assert statuses(found) == ["200", "201", "200", "200", "200"]
    assert found[0]["response"]["outcome"]["issue"][0]["severity"] == "information"  # as things stand after the commit
    assert found[4]["response"]["outcome"]["issue"][0]["severity"] == "error"
    assert await bench.found("Patient") == ["a"]


async def test_b3_a_transaction_is_valid_as_a_whole_also_in_what_is_only_to_be_validated(bench: Bench) -> None:
    error = await refused(bench, entry("POST", "Patient/$validate", patient(gender="unknowable")))
    assert (error.status, places(error)) == (400, ["Bundle.entry[0].resource.gender"])


async def test_b3_the_same_operation_twice_is_no_identity_twice(bench: Bench) -> None:
    one = entry("POST", "Patient/$validate", patient())
    assert statuses(await transact(bench, one, one)) == ["200", "200"]


@pytest.mark.parametrize("send", [do_batch, transact])
async def test_b1_the_whole_service_and_compartments_are_searched(bench: Bench, send: object) -> None:
    await bench.update(patient(id="a"))
    await bench.update(response(id="q", subject={"reference": "Patient/a"}, authored="2026-11-21T10:00:00Z"))
    await settled(bench.database)
    found = await (do_batch if send is do_batch else transact)(
        bench,
        entry("GET", "?_type=Patient,QuestionnaireResponse"),
        entry("GET", "Patient/a/QuestionnaireResponse?status=completed"),
        entry("GET", "Patient/b/QuestionnaireResponse"),
        entry("GET", "Patient/a/*?_type=QuestionnaireResponse"),
        entry("GET", "_history?_count=1"),
    )
    assert statuses(found) == ["200"] * 5
    assert [[each["resource"]["id"] for each in one["resource"].get("entry", [])] for one in found] == [
        ["a", "q"], ["q"], [], ["q"], ["q"]
    ]  # fmt: skip
    assert found[4]["resource"]["type"] == "history"


@pytest.mark.parametrize(
    ("method", "url"),
    [("POST", "_history"), ("PUT", "$ask"), ("DELETE", "?_type=Patient"), ("GET", "metadata"), ("GET", ""),
     ("POST", "Patient/_search"), ("GET", "Patient/_search"), ("POST", "Patient/a/QuestionnaireResponse"),
     ("DELETE", "Patient/a/QuestionnaireResponse"), ("GET", "Patient/a/Nothing"), ("GET", "Patient/a/*/b")],
)  # fmt: skip
async def test_b1_what_is_no_address_of_an_entry_is_refused(bench: Bench, method: str, url: str) -> None:
    body = response() if method == "POST" else patient(id="a") if method == "PUT" else None
    if url:
        assert statuses(await do_batch(bench, entry(method, url, body))) == ["400"]
    error = await refused(bench, entry(method, url, body))
    assert error.status == 400
