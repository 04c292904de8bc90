"""Row B3 as a property: whatever a transaction asks for, the order of its entries decides nothing."""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stepwell_shared.fhir.outcome import FhirError

from tests.support.bundles import bundle_of, entry, send
from tests.support.engine import Bench, FakeAccess, Resource, json_of, patient, response

TENANTS = itertools.count(1)
SYSTEM = "urn:x"
STORED = ("s0", "s1")
GENDERS = st.sampled_from(["male", "female", "other"])


def placeholder(number: int) -> str:
    return f"urn:uuid:0f2e1c7a-1111-4444-8888-00000000000{number}"


def identifier(number: int) -> list[Resource]:
    return [{"system": SYSTEM, "value": f"v{number}"}]


# Whom a resource refers to: an entry of the Bundle, what is stored, or whoever criteria find.
references = st.one_of(
    st.integers(0, 3).map(placeholder),
    st.sampled_from([f"Patient/{id_}" for id_ in (*STORED, "nobody")]),
    st.integers(0, 3).map(lambda number: f"Patient?identifier={SYSTEM}|v{number}"),
)


@st.composite
def writes(draw: st.DrawFn, number: int) -> Resource:
    """One entry that changes something; its fullUrl is the placeholder of its number."""
    gender, named, url = draw(GENDERS), identifier(draw(st.integers(0, 3))), placeholder(number)
    criteria, id_ = f"identifier={SYSTEM}|v{draw(st.integers(0, 3))}", draw(st.sampled_from([*STORED, "new"]))
    person = patient(gender=gender, identifier=named)
    about = response(subject={"reference": draw(references)}, authored="2026-11-21T10:00:00Z")
    part = [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.gender"},
            {"name": "value", "valueCode": gender}]  # fmt: skip
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}
    return draw(
        st.sampled_from(
            [
                entry("POST", "Patient", person, fullUrl=url),
                entry("POST", "Patient", person, fullUrl=url, ifNoneExist=criteria),
                entry("PUT", f"Patient/{id_}", {**person, "id": id_}, fullUrl=url),
                entry("PUT", f"Patient?{criteria}", person, fullUrl=url),
                entry("DELETE", f"Patient/{id_}"),
                entry("DELETE", f"Patient?{criteria}"),
                entry("PATCH", f"Patient/{id_}", patch),
                entry("POST", "QuestionnaireResponse", about, fullUrl=url),
            ]
        )
    )


reads = st.sampled_from(
    [entry("GET", "Patient/s0"), entry("GET", f"Patient?identifier={SYSTEM}|v1"), entry("GET", "Patient?gender=female")]
)


@st.composite
def transactions(draw: st.DrawFn) -> tuple[list[Resource], list[int]]:
    """Entries, and another order of them."""
    size = draw(st.integers(2, 4))
    entries = [draw(writes(number)) for number in range(size)]
    entries += draw(st.lists(reads, max_size=1))
    return entries, draw(st.permutations(range(len(entries))))


async def outcome(bench: Bench, entries: list[Resource], order: Sequence[int]) -> Any:
    """The refusal's status or each entry's answer, in the order of `entries`, and all that is then stored.

    Ids that the server gave are written as the number of the entry that got them; what a search finds is sorted, for
    in which order two that are made at the same moment come is not promised.
    """
    access = FakeAccess(tenant=f"tenant-{next(TENANTS)}")
    for number, id_ in enumerate(STORED):
        await bench.update(patient(id=id_, gender="male", identifier=identifier(number)), access=access)
    answers: list[Resource] = []
    status = 200
    try:
        sent = bundle_of("transaction", *(entries[number] for number in order))
        answer = json_of(await send(bench, sent, access=access))["entry"]
        answers = [answer[order.index(number)] for number in range(len(entries))]
    except FhirError as error:
        status = error.status
    kept = [
        each["resource"]
        for name in ("Patient", "QuestionnaireResponse")
        for each in (await bench.search(name, access=access)).get("entry", [])
    ]
    names: dict[str, str] = {}
    for number, each in enumerate(answers):
        made = re.fullmatch(r".*/([^/]+)/_history/.*", each["response"].get("location", ""))
        if made and made[1] not in (*STORED, "new"):
            names.setdefault(made[1], f"made by entry {number}")
    found = [_named(each, names) for each in (answers, *kept)]
    return [status, found[0], sorted(found[1:], key=orjson.dumps)]


def _named(given: Any, names: dict[str, str]) -> Any:
    """The same with other ids, wherever they stand."""
    if isinstance(given, dict):
        found = {key: _named(value, names) for key, value in given.items()}
        if found.get("type") == "searchset":
            found["entry"] = sorted(found.get("entry", ()), key=orjson.dumps)
        return found
    if isinstance(given, list):
        return [_named(value, names) for value in given]
    return "/".join(names.get(step, step) for step in given.split("/")) if isinstance(given, str) else given


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=transactions())
async def test_b3_every_order_of_the_entries_has_the_same_outcome(
    bench: Bench, drawn: tuple[list[Resource], list[int]]
) -> None:
    entries, order = drawn
    assert await outcome(bench, entries, range(len(entries))) == await outcome(bench, entries, order)
