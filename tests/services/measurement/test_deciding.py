"""Promises of what is decided beside the requests: the same as by the rules, without a secret, refused alike."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from stepwell_measurement.rules.board import sheets_of
from stepwell_measurement.rules.measures.figures import ELIGIBLE
from stepwell_measurement.use_cases import deciding
from stepwell_measurement.use_cases.deciding import NotDecidedError, decide, decide_apart, memory_left

from tests.services.measurement.boards import counted

STEPS, CONTACTS = "care_step/entered_on", "care_contact/held_on"


async def test_counts_that_are_not_about_the_same_people_are_refused_by_another_process_too() -> None:
    (measure, counts), *others = counted(60, seed=1)[CONTACTS]
    one_more = replace(counts, whole={**counts.whole, ELIGIBLE: counts.whole[ELIGIBLE] + Decimal(1)})
    with pytest.raises(ValueError, match="not about the same people"):
        await decide_apart([(measure, one_more), *others])


async def test_a_process_that_fails_decides_nothing() -> None:
    (measure, counts), *_ = counted(10, seed=1)[STEPS]
    with pytest.raises(NotDecidedError, match="ended with 1"):
        await decide_apart([(replace(measure, id="no-such-measure"), counts)])


async def test_a_process_that_needs_more_memory_than_its_container_has_ends_before_the_container_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deciding, "memory_left", lambda: 4096)
    with pytest.raises(NotDecidedError, match="more memory than there is"):
        await decide_apart(counted(80, seed=1)[STEPS])


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, None),
        ({"memory.max": "max", "memory.stat": "anon 5\nfile 7\n"}, None),
        ({"memory.max": "536870912", "memory.stat": "file 7\n"}, None),
        ({"memory.max": "536870912\n", "memory.stat": "anon 104857600\nfile 7\n"}, 348 * 1024 * 1024),
        ({"memory.max": "536870912\n", "memory.stat": "anon 536870000\n"}, 0),
    ],
)
def test_what_is_left_of_the_memory_of_a_container_is_what_its_processes_do_not_have(
    tmp_path: Path, files: dict[str, str], left: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert memory_left(tmp_path) == left


async def test_another_process_decides_what_the_rules_do() -> None:
    together = counted(80, seed=1)[STEPS]  # with the mix of tiers
    expected = {name: msgspec.json.encode(sheet).decode() for name, sheet in sheets_of(together).items()}
    assert await decide_apart(together) == expected
    assert await decide(together) == expected


async def test_the_other_process_knows_no_setting_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    async def start(*command: str, env: dict[str, str], **streams: object) -> object:
        seen.update(env)
        raise FileNotFoundError(command[0])

    monkeypatch.setenv("STEPWELL_DATABASE_URL", "postgresql://somebody:secret@host/name")
    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    with pytest.raises(FileNotFoundError):
        await decide_apart([])
    assert "PATH" in seen
    assert not any(name.startswith("STEPWELL") for name in seen)
