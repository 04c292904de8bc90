"""Figures for partner organisations: which reports go to whom, and in which words."""

from functools import partial
from typing import Any

import orjson
from stepwell_shared.auth.clients import tenant_of
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.progress import PendingEvent
from stepwell_shared.federation.exchange import Exchange, NotReadyError, Outgoing
from stepwell_shared.federation.partners import Partner, organization_of
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.partnering import note_heard, partners_of
from stepwell_shared.runtime import Runtime

from stepwell_measurement.builders.region import is_for_a_partner, kept_id, sent_report, taken_id
from stepwell_measurement.rules.sharing import period_of
from stepwell_measurement.subscriptions import MEASURE_REPORT_READY
from stepwell_measurement.use_cases.reports import found_wrong, measure_id

Resource = dict[str, Any]


def exchange(runtime: Runtime) -> Exchange:
    """Measurement's part in the exchange with partners: it sends them reports, and is told nothing."""
    return Exchange(
        topic=MEASURE_REPORT_READY,
        partners=partners_of(runtime),
        concerns=partial(concerns, runtime),
        outgoing=partial(outgoing, runtime),
        refused=_parked,
        take=_nothing_is_told,
        heard=partial(note_heard, runtime),
    )


async def concerns(runtime: Runtime, partner: Partner, event: PendingEvent) -> bool:
    """Whether this is a report that was made for the partner."""
    report: Resource = orjson.loads(bytes(event.entries[0].resource))
    period = period_of(report)
    if period is None or not is_for_a_partner(report):
        return False
    made = kept_id(runtime.engine.base_url, partner.tenant, partner.name, measure_id(report), period)
    return event.focus == f"MeasureReport/{made}"


async def outgoing(runtime: Runtime, partner: Partner, event: PendingEvent) -> Outgoing:
    """The report as it is now, whatever version was announced: sent late or again, it is never an old one.

    Nothing once figures are not shared any more. Raises NotReadyError for what would tell of few people or of somebody:
    it stays here, and people look.
    """
    if not partner.is_given_figures:
        return Outgoing()
    stored = await runtime.store.read(partner.tenant, "MeasureReport", event.focus.partition("/")[2])
    kept: Resource = orjson.loads(stored.body) if stored is not None and stored.body else {}
    period = period_of(kept)
    if period is None:
        return Outgoing()
    there = tenant_of(partner.client_id) or ""
    name = partner.organization_there.removeprefix(organization_of(""))
    id_ = taken_id(partner.base_url, there, name, measure_id(kept), period)
    report = sent_report(kept, id_, partner.organization_there)
    if wrong := found_wrong(runtime, report):
        raise NotReadyError(f"not sent, {wrong[0].place}: {wrong[0].text}")
    entry = {
        "fullUrl": f"{partner.base_url}/MeasureReport/{id_}",
        "resource": report,
        "request": {"method": "PUT", "url": f"MeasureReport/{id_}"},
    }
    return Outgoing([entry])


async def _parked(partner: Partner, event: PendingEvent, reason: str) -> None:
    """A refusal stands with the event, where `stepwell deliveries` and `stepwell partner show` tell it."""


async def _nothing_is_told(partner: Partner, event: ReceivedEvent) -> None:
    raise FhirError(Category.FORBIDDEN, "partners tell measurement nothing; they send reports")
