"""Promises of what is decided beside the requests: the same as by the rules, without a secret, refused alike."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest
from stepwell_measurement.rules.board import sheets_of
from stepwell_measurement.rules.measures.figures import ELIGIBLE
from stepwell_measurement.use_cases.deciding import decide, decide_apart

from tests.services.measurement.boards import counted

STEPS, CONTACTS = "care_step/entered_on", "care_contact/held_on"


async def test_counts_that_are_not_about_the_same_people_are_refused_by_another_process_too() -> None:
    (measure, counts), *others = counted(60, seed=1)[CONTACTS]
    one_more = replace(counts, whole={**counts.whole, ELIGIBLE: counts.whole[ELIGIBLE] + Decimal(1)})
    with pytest.raises(ValueError, match="not about the same people"):
        await decide_apart([(measure, one_more), *others])


async def test_a_process_that_fails_decides_nothing() -> None:
    (measure, counts), *_ = counted(10, seed=1)[STEPS]
    with pytest.raises(RuntimeError, match="ended with 1"):
        await decide_apart([(replace(measure, id="no-such-measure"), counts)])


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
