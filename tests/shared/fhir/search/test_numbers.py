"""S10: numbers against the range table of R4 (https://hl7.org/fhir/R4/search.html#prefix), by exact arithmetic."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stepwell_shared.fhir import interactions

from tests.conftest import DatabaseOf
from tests.support.engine import Bench
from tests.support.engine import bench as open_bench

# What stands in the Observations: a value, and a comparator that leaves one side open and its own value out.
VALUES = [
    "0",
    "5",
    "5.4",
    "5.35",
    "5.45",
    "99.5",
    "100",
    "100.00",
    "100.4999",
    "100.5",
    "-3",
    "0.054",
    "1e2",
    "12",
    "120",
]
BOUNDS = [("<", "5"), (">", "5"), ("<=", "100"), (">=", "100")]
FINE = Decimal("1e-9")  # finer than anything that is searched for here

numbers = st.one_of(
    st.sampled_from(["5", "5.4", "100", "100.0", "1e2", "-3", "0", "5.40e0", "0.05", "540e-2", "99.5", "12.0"]),
    st.decimals(min_value=-200, max_value=200, places=1).map(str),
    st.integers(-200, 200).map(str),
)
PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


def covered(text: str) -> tuple[Decimal, Decimal]:
    """The half-open interval that the written precision of a number covers."""
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return number - Decimal(5).scaleb(exponent - 1), number + Decimal(5).scaleb(exponent - 1)


def matches(prefix: str, text: str, low: Decimal, high: Decimal) -> bool:
    """The words of the table over the values from low to high, both included; the comparators ignore precision."""
    number, (bottom, top) = Decimal(text), covered(text)
    is_inside = bottom <= low and high < top
    margin = abs(number) / 10
    return {
        "": is_inside,
        "eq": is_inside,
        "ne": not is_inside,
        "gt": high > number,
        "lt": low < number,
        "ge": high >= number,
        "le": low <= number,
        "sa": low > number,
        "eb": high < number,
        "ap": low <= number + margin and high >= number - margin,
    }[prefix]


def expected(prefix: str, text: str) -> set[str]:
    found = {f"v{n}" for n, each in enumerate(VALUES) if matches(prefix, text, Decimal(each), Decimal(each))}
    for n, (comparator, value) in enumerate(BOUNDS):
        low = high = Decimal(value)
        if comparator[0] == "<":
            low, high = Decimal("-Infinity"), high - (FINE if comparator == "<" else 0)
        else:
            low, high = low + (FINE if comparator == ">" else 0), Decimal("Infinity")
        found |= {f"b{n}"} if matches(prefix, text, low, high) else set()
    return found


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    """An Observation for every value and every open bound."""
    async with open_bench(await database_of("measurement"), "measurement") as opened:
        quantities: dict[str, dict[str, Any]] = {f"v{n}": {"value": each} for n, each in enumerate(VALUES)}
        quantities |= {f"b{n}": {"value": value, "comparator": each} for n, (each, value) in enumerate(BOUNDS)}
        for id_, quantity in quantities.items():
            comparator = f',"comparator":"{quantity["comparator"]}"' if "comparator" in quantity else ""
            body = (
                f'{{"resourceType":"Observation","id":"{id_}","status":"final","code":{{"text":"N"}},'
                f'"valueQuantity":{{"value":{quantity["value"]}{comparator}}}}}'
            )
            await interactions.update(opened.engine, opened.request("Observation", id_, resource=body.encode()))
        yield opened


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prefix=st.sampled_from(PREFIXES), text=numbers)
async def test_s10_every_prefix_finds_what_the_table_says(bench: Bench, prefix: str, text: str) -> None:
    assert set(await bench.found("Observation", f"value-quantity={prefix}{text}&_count=100")) == expected(prefix, text)


async def test_s10_integers_match_exactly_however_they_are_written(bench: Bench) -> None:
    for text in ("12", "12.0", "12.00", "1.2e1", "120e-1"):
        assert await bench.found("Observation", f"value-quantity={text}") == ["v13"], text
