"""What became of a partner's referral, as the partner is told of it, and the copies that the other side keeps of that.

Beside the Task go the times that were made for the person and the reports that it gives back: who referred has no token
for what is here, and the line may be away for days.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from stepwell_shared.canonical import derived_id
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.outbox import Entry
from stepwell_shared.events.progress import PendingEvent
from stepwell_shared.federation.partners import Partner
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.copies import copy_change
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.unit import Change
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import news as builders
from stepwell_referral.builders.advice import is_advice
from stepwell_referral.use_cases.advice_exchange import told_advice
from stepwell_referral.use_cases.progress import content
from stepwell_referral.use_cases.validity import is_valid

# More times than these for one referral are a series, whose first are the ones that a practice waits for.
APPOINTMENTS_MAX = 10
BINARY = "Binary"
KEPT = {builders.APPOINTMENT: builders.kept_appointment, builders.DOCUMENT: builders.kept_document}

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)


@dataclass(frozen=True)
class Copies:
    """What we keep of a partner's news beside the Task: the changes, and the copy of each address of theirs."""

    changes: list[Change] = field(default_factory=list)
    by_url: dict[str, str] = field(default_factory=dict)


async def news(runtime: Runtime, partner: Partner, event: PendingEvent) -> Sequence[Entry]:
    """What the partner is told of a referral of its own: the Task, times and reports as they are now."""
    focus = event.entries[0]
    task: Resource = _resource.decode(bytes(focus.resource))
    if is_advice(task):
        told = await told_advice(runtime, partner.tenant, task)
        return [Entry(_url(runtime, each), msgspec.Raw(encode(each))) for each in told]
    appointments, documents = await asyncio.gather(
        _appointments(runtime, partner.tenant, task), _documents(runtime, partner.tenant, task)
    )
    told = [builders.told_task(task), *appointments, *documents]
    return [Entry(_url(runtime, each), msgspec.Raw(encode(each))) for each in told]


async def copies_of(runtime: Runtime, partner: Partner, event: ReceivedEvent, task: Resource) -> Copies:
    """Our copies of what the partner sends beside its Task; `task` is ours, and says whom all of it is about.

    What is no valid resource is left out, and its address stays: the state of the referral must not hang on it.
    """
    found = Copies()
    for url, told in event.resources.items():
        build = KEPT.get(told.get("resourceType", ""))
        if build is None or not partner.sent(url) or url == event.focus:
            continue
        if not is_valid(partner, told):
            continue
        id_ = derived_id(runtime.engine.base_url, partner.tenant, "partner-copy", url)
        kept = build(told, task, id_=id_)
        source = f"{url}/_history/{told.get('meta', {}).get('versionId', '1')}"
        change, _ = await copy_change(runtime.engine, partner.tenant, kept, source, runtime.clock())
        found.by_url[url] = f"{kept['resourceType']}/{id_}"
        if change is not None:
            found.changes.append(change)
    return found


async def _appointments(runtime: Runtime, tenant: str, task: Resource) -> list[Resource]:
    """The times of a referral, by its ServiceRequest."""
    engine = runtime.engine
    reference = engine.localise(str(task.get("focus", {}).get("reference", "")))
    if not reference.startswith("ServiceRequest/"):
        return []
    query = query_of(engine, engine.registry.types["Appointment"], [("based-on", reference)], (), strict=True)
    query.count = APPOINTMENTS_MAX
    rows = await engine.store.search(tenant, *query.page_statement())
    found = [_resource.decode(row["body"]) for row in rows]
    # A time that is only held is nobody's yet.
    made = [each for each in found if each["status"] not in {"pending", "proposed"}]
    return [builders.told_appointment(each, await _names(runtime, tenant, each)) for each in made]


async def _names(runtime: Runtime, tenant: str, appointment: Resource) -> dict[str, str]:
    """The names of services and places that take part."""
    found: dict[str, str] = {}
    for each in appointment.get("participant", ()):
        reference = runtime.engine.localise(str(each.get("actor", {}).get("reference", "")))
        kind, _, id_ = reference.partition("/")
        if kind in {"HealthcareService", "Location"} and "://" not in reference:
            name = content(await runtime.store.read(tenant, kind, id_)).get("name")
            found |= {each["actor"]["reference"]: name} if name else {}
    return found


async def _documents(runtime: Runtime, tenant: str, task: Resource) -> list[Resource]:
    stored = [await runtime.store.read(tenant, builders.DOCUMENT, id_) for id_ in builders.documents_of(task)]
    found = [builders.told_document(content(each)) for each in stored if content(each)]
    return [await _with_content(runtime, tenant, each) for each in found]


async def _with_content(runtime: Runtime, tenant: str, document: Resource) -> Resource:
    """The document with what lies beside it as Binary: who referred cannot fetch it from here."""
    contents = []
    for each in document.get("content", ()):
        attachment = each.get("attachment", {})
        kind, _, id_ = runtime.engine.localise(str(attachment.get("url", ""))).partition("/")
        if kind == BINARY and kind in runtime.engine.registry.types:
            binary = content(await runtime.store.read(tenant, kind, id_))
            brought = {"data": binary["data"]} if "data" in binary else {}
            attachment = {name: value for name, value in attachment.items() if name != "url"} | brought
        contents.append({**each, "attachment": attachment})
    return {**document, "content": contents}


def _url(runtime: Runtime, resource: Resource) -> str:
    return f"{runtime.engine.base_url}/{resource['resourceType']}/{resource['id']}"
