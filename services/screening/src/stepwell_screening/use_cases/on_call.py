"""What a site has set for safety: who is on call, how alerts escalate, and whether the C-SSRS screener is attested."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from time import monotonic

import structlog
from stepwell_shared.runtime import Runtime

from stepwell_screening import data
from stepwell_screening.instruments import find_imported, safety_policy
from stepwell_screening.rules.escalation import OnCall, parse_on_call
from stepwell_screening.rules.safety_policy import Ladder, SafetyRule
from stepwell_screening.timers import on_call_document

# What an alert is opened with may be so old; whoever escalates it looks again.
KEPT_SECONDS = 5.0

log = structlog.get_logger("stepwell.safety")


@dataclass(frozen=True)
class Site:
    """One tenant's safety settings, as they were at `read_at` of the monotonic clock.

    `screener` is the canonical of the instrument that is preferred after a positive item, if the site may use it.
    """

    on_call: OnCall
    screener: str | None
    read_at: float

    def ladder(self, rule: SafetyRule) -> Ladder | None:
        """How findings of this rule escalate here."""
        return None if rule.ladder is None else self.ladders[rule.ladder]

    @property
    def ladders(self) -> Mapping[str, Ladder]:
        """The site's own where it has some, else those that ship."""
        return {**safety_policy().ladders, **self.on_call.ladders}


async def site_of(runtime: Runtime, tenant: str) -> Site:
    """The site's settings, a few seconds old at most."""
    kept = runtime.cache.get((Site, tenant))
    if isinstance(kept, Site) and monotonic() - kept.read_at < KEPT_SECONDS:
        return kept
    screener = await find_imported(runtime, tenant, safety_policy().follow_up.preferred)
    site = Site(await on_call_now(runtime, tenant), screener.canonical if screener else None, monotonic())
    runtime.cache[(Site, tenant)] = site
    return site


async def on_call_now(runtime: Runtime, tenant: str) -> OnCall:
    """Who is on call by what stands in the database now. What cannot be read there must not stop an alert."""
    document = await on_call_document(runtime.database, tenant)
    if document is None:
        return shipped_on_call()
    try:
        return parse_on_call(json.loads(document))
    except ValueError:
        log.exception("what is set for on-call cannot be read; the default holds", tenant=tenant)
        return shipped_on_call()


@cache
def shipped_on_call() -> OnCall:
    """The default, which names roles and nobody."""
    return parse_on_call(data.on_call())


def checked_on_call(document: str) -> str:
    """The document as it is kept. Raises ValueError in words for whoever wrote it."""
    content = json.loads(document)
    if not isinstance(content, dict):
        raise ValueError("the document is a JSON object with zone, roles and lastResort")  # noqa: TRY004  as for the rest
    parse_on_call(content)
    return json.dumps(content, ensure_ascii=False)
