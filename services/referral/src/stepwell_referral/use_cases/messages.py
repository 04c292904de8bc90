"""What is written to people: to the person in their language, and to the team in words that name nobody."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.languages import best
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import messages as builders
from stepwell_referral.builders.referral import FALLBACK_LANGUAGE
from stepwell_referral.data.loop import words
from stepwell_referral.rules.interim import InterimOffer
from stepwell_referral.subscriptions import COMMUNICATION_CHANGED

Resource = dict[str, Any]


async def language_of(runtime: Runtime, tenant: str, subject_key: str, otherwise: str) -> str:
    """The language that the person prefers, if we speak it, else another of theirs, else that of the Task."""
    resource_type, _, id_ = subject_key.partition("/")
    stored = await runtime.store.read(tenant, "Patient", id_) if resource_type == "Patient" else None
    person = orjson.loads(stored.body) if stored is not None and stored.body else {}
    spoken = sorted(person.get("communication", ()), key=lambda each: not each.get("preferred", False))
    codes = [coding.get("code", "") for each in spoken for coding in each.get("language", {}).get("coding", ())]
    found = (best(code, sorted(words())) for code in [*codes, otherwise])
    return next((each for each in found if each is not None), FALLBACK_LANGUAGE)


def told_text(
    state: str,
    language: str,
    *,
    wait: str = "",
    reason: str = "other",
    part: str = "",
    interim: InterimOffer | None = None,
    is_waiting: bool = False,
    why: str = "",
    options: Sequence[str] = (),
) -> str:
    """What the person is told of a state of their referral; `reason` and `part` are codes, `why` is a sentence on what
    the step rests, `options` are the ways to receive it."""
    said = words()[language]
    named = said["reasons"].get(reason, said["reasons"]["other"])
    lines = [said["states"][state].format(wait=wait, reason=named, part=said["parts"].get(part, part)).strip()]
    if why:
        lines.insert(0, why)
    if len(options) > 1:
        lines.append(said["options"].format(options=", ".join(options)))
    if interim is not None:
        lines.append(said["support"].format(support=interim.text.get(language, interim.text[FALLBACK_LANGUAGE])))
    if is_waiting:
        lines.append(said["rights"])
    return "\n".join([*lines, said["crisis"]])


def tell_person(
    runtime: Runtime, unit: UnitOfWork, task: Resource, cause: Sequence[str], *, subject_key: str, language: str,
    text: str, now: datetime, urgent: bool = False,
) -> None:  # fmt: skip
    """Adds what the person is told to the unit of work, with its event. One cause makes one message."""
    message = builders.message_to_person(
        task,
        communication_id=derived_id(runtime.engine.base_url, unit.tenant, "told", *cause),
        language=language,
        open_text=words()[language]["open_urgent" if urgent else "open"],
        text=text,
    )
    add_message(runtime, unit, message, subject_key, now)


def tell_team(
    runtime: Runtime, unit: UnitOfWork, task: Resource, cause: Sequence[str], roles: Sequence[str], *,
    subject_key: str, text: str, now: datetime,
) -> None:  # fmt: skip
    """Adds to the unit of work whom an open Task is brought to, with its event."""
    message = builders.alert_to_team(
        task,
        roles,
        communication_id=derived_id(runtime.engine.base_url, unit.tenant, "alert", *cause),
        text=f"{text} Please open it in the worklist.",
    )
    add_message(runtime, unit, message, subject_key, now)


def add_message(runtime: Runtime, unit: UnitOfWork, message: Resource, subject_key: str, now: datetime) -> None:
    """Adds a Communication that we made, with the event that brings it on its way."""
    change = built(runtime.engine, message, now)
    unit.changes.append(change)
    focus = f"Communication/{message['id']}"
    entries = [(f"{runtime.engine.base_url}/{focus}", change.stored)]
    unit.effects.append(event(COMMUNICATION_CHANGED.canonical, subject_key, focus, entries, now))
