"""What measurement wants to hear of referrals is decided without a search, and as a search would decide it."""

import itertools
from dataclasses import replace
from typing import Any

import msgspec
import orjson
import pytest
from stepwell_referral.subscriptions import REFERRAL_CHANGED, TOPICS
from stepwell_referral.use_cases.partners import concerns
from stepwell_shared.events.filters import EngineFilters
from stepwell_shared.events.outbox import Entry
from stepwell_shared.events.progress import PendingEvent, Subscription
from stepwell_shared.runtime import Runtime

from tests.shared.federation.pairs import hub
from tests.support.runtime import NORTH, START, URLS


def subscription(*filters: str) -> Subscription:
    settings = (NORTH, "s1", REFERRAL_CHANGED.canonical, "https://peer.example", "full-resource", (), filters)
    return Subscription(*settings, None, None, True, "active", (0, 0), 1, 0, False, False)


def event(**said: Any) -> PendingEvent:
    task = {"resourceType": "Task", "id": "t1", "intent": "order", "for": {"reference": "Patient/a"}, **said}
    entry = Entry(f"{URLS['referral']}/Task/t1", msgspec.Raw(orjson.dumps(task)))
    return PendingEvent((0, 0), "Patient/a", "Task/t1", [entry], None, START)


SAID: tuple[dict[str, str], ...] = ({"status": "draft"}, {"status": "requested"}, {"status": "in-progress"}, {})


async def test_a_status_is_asked_for_as_a_search_would(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    filters = EngineFilters(runtime.engine, TOPICS)
    for asked, said, name in itertools.product(("draft", "in-progress"), SAID, ("status", "status:not")):
        searched = await filters(subscription(f"Task?{name}={asked}&intent:not=plan"), event(**said))
        with monkeypatch.context() as patched:
            if said:
                patched.setattr(runtime.engine.store, "search", None)
            assert await filters(subscription(f"Task?{name}={asked}"), event(**said)) is searched


async def test_what_was_emptied_before_it_was_sent_passes_no_filter_and_holds_nobody_up(runtime: Runtime) -> None:
    left = replace(event(), entries=[Entry(f"{URLS['referral']}/Task/t1")])
    assert not await EngineFilters(runtime.engine, TOPICS)(subscription("Task?status=draft"), left)
    assert not await concerns(runtime, hub(), left)
