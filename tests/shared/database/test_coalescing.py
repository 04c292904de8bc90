"""Look-ups of one turn of the loop share a fetch; nobody's trouble becomes another's."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from stepwell_shared.database.coalescing import Coalescer, next_share


class Fetch:
    """Counts its calls and finds every key but `missing`."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[str, ...], list[str]]] = []
        self.error: Exception | None = None

    async def __call__(self, group: tuple[str, ...], keys: Sequence[str]) -> Mapping[str, str]:
        self.calls.append((group, list(keys)))
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return {key: f"{group[0]} {key}" for key in keys if key != "missing"}


async def test_an_error_reaches_everybody_and_is_not_remembered() -> None:
    fetch = Fetch()
    coalescer = Coalescer(fetch)
    fetch.error = OSError("away")
    found = await asyncio.gather(*(coalescer.get(("a",), key) for key in "xyx"), return_exceptions=True)
    assert [type(each) for each in found] == [OSError] * 3
    fetch.error = None
    assert await coalescer.get(("a",), "x") == "a x"


async def test_an_error_that_nobody_waits_for_leaves_no_warning() -> None:
    fetch = Fetch()
    fetch.error = OSError("away")
    coalescer = Coalescer(fetch)
    found = coalescer.get(("a",), "x")
    await asyncio.sleep(0)
    found.cancel()
    with pytest.raises(asyncio.CancelledError):
        await found
    await asyncio.sleep(0.01)
    assert len(fetch.calls) == 1


async def test_groups_never_share_a_fetch() -> None:
    fetch = Fetch()
    coalescer = Coalescer(fetch)
    found = await asyncio.gather(*(coalescer.get((group,), key) for key in "xy" for group in "ab"))
    assert found == ["a x", "b x", "a y", "b y"]
    assert sorted(fetch.calls) == [(("a",), ["x", "y"]), (("b",), ["x", "y"])]


async def test_the_same_key_is_asked_for_once_and_an_absent_one_is_none() -> None:
    fetch = Fetch()
    coalescer = Coalescer(fetch)
    found = await asyncio.gather(*(coalescer.get(("a",), key) for key in ("x", "missing", "x")))
    assert found == ["a x", None, "a x"]
    assert fetch.calls == [(("a",), ["x", "missing"])]


async def test_later_look_ups_see_later_values() -> None:
    fetch = Fetch()
    coalescer = Coalescer(fetch)
    await coalescer.get(("a",), "x")
    await coalescer.get(("a",), "x")
    assert len(fetch.calls) == 2


@pytest.mark.parametrize(
    ("waiting", "last", "share"), [(5, 0, 5), (1, 1, 1), (13, 3, 8), (8, 8, 8), (5, 8, 5), (100, 20, 60), (1, 90, 1)]
)
def test_under_load_half_of_all_are_in_the_database_at_once(waiting: int, last: int, share: int) -> None:
    assert next_share(waiting, last) == share


async def test_those_who_come_back_find_the_others_looked_up_meanwhile() -> None:
    fetch = Fetch()
    coalescer = Coalescer(fetch, lanes=1)
    clients = 8

    async def client(name: int) -> list[str | None]:
        for _ in range(name % 3):
            await asyncio.sleep(0)
        return [await coalescer.get(("a",), f"{name} {turn}") for turn in range(10)]

    found = await asyncio.gather(*(client(name) for name in range(clients)))
    assert found == [[f"a {name} {turn}" for turn in range(10)] for name in range(clients)]
    under_way = [len(keys) for _, keys in fetch.calls[4:-4]]
    assert set(under_way) == {clients // 2}


async def test_clients_that_come_all_at_once_are_soon_looked_up_one_half_while_the_other_is_answered() -> None:
    fetch = Fetch()
    coalescer = Coalescer(fetch, lanes=1)

    async def client(name: int) -> None:
        for turn in range(10):
            await coalescer.get(("a",), f"{name} {turn}")

    await asyncio.gather(*(client(name) for name in range(16)))
    assert [len(keys) for _, keys in fetch.calls] == [8] * 20


async def test_a_few_who_come_at_once_are_looked_up_together() -> None:
    fetch = Fetch()
    coalescer = Coalescer(fetch, lanes=1)
    await asyncio.gather(*(coalescer.get(("a",), f"{name}") for name in range(7)))
    assert len(fetch.calls) == 1


async def test_of_two_lanes_each_takes_all_that_waits() -> None:
    sizes: list[int] = []
    ended = {size: asyncio.Event() for size in (1, 2, 9)}

    async def fetch(group: tuple[str, ...], keys: Sequence[int]) -> Mapping[int, int]:
        sizes.append(len(keys))
        await ended[len(keys)].wait()
        return {key: key for key in keys}

    coalescer = Coalescer(fetch)
    asked: list[asyncio.Future[int | None]] = []
    for many in (1, 2, 9):
        asked += [coalescer.get(("a",), len(asked) + number) for number in range(many)]
        await asyncio.sleep(0.01)
    for size in (1, 9, 2):
        ended[size].set()
        await asyncio.sleep(0.01)
    assert await asyncio.gather(*asked) == list(range(12))
    assert sizes == [1, 2, 9]
