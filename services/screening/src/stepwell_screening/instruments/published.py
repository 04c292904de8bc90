"""Instruments by canonical: those that ship from memory, those that a tenant has published from its database.

Which version of a Questionnaire is stored now is asked every time, so that all replicas see a publication at once;
only what was compiled from it is kept.
"""

import json
from collections import OrderedDict
from decimal import Decimal
from typing import Any

from stepwell_shared.runtime import Runtime

from stepwell_screening import data
from stepwell_screening.instruments.compiled import Instrument, compile_instrument
from stepwell_screening.instruments.publications import Publication, PublicationReader
from stepwell_screening.instruments.shipped import instruments, newest_instruments
from stepwell_screening.rules.publication import newest

COMPILED_MAX = 512


async def find_instrument(runtime: Runtime, tenant: str, canonical: str) -> Instrument | None:
    """The instrument of `url|version`, or the newest active one of a `url`; None when this tenant has none.

    A retired version is found by its version only: answers given to it stay bound to it. What ships costs one look
    into a dict.
    """
    found = instruments().get(canonical)
    if found is not None:
        return found
    url, bar, version = canonical.partition("|")
    if bar and not version:
        return None
    if not version and url in newest_instruments():
        return newest_instruments()[url]
    rows = await publications(runtime).of_url(tenant, url)
    if version:
        rows = [row for row in rows if row.version == version]
        return await _compiled(runtime, tenant, rows[0]) if rows else None
    return await _newest_active(runtime, tenant, rows)


async def find_imported(runtime: Runtime, tenant: str, instrument: str) -> Instrument | None:
    """The Questionnaire that this tenant has imported last for an instrument, such as `c-ssrs-screener`, and uses."""
    for row in reversed(await publications(runtime).of_instrument(tenant, instrument)):
        found = await _compiled(runtime, tenant, row)
        if found is not None and found.questionnaire.get("status") == "active":
            return found
    return None


def publications(runtime: Runtime) -> PublicationReader:
    """The process's reader of publications."""
    reader = runtime.cache.get(PublicationReader)
    if not isinstance(reader, PublicationReader):
        reader = runtime.cache[PublicationReader] = PublicationReader(runtime.database)
    return reader


def scoring_of(instrument: str | None) -> dict[str, Any] | None:
    """The scoring definition that a form has which was imported for an instrument; None where there is none."""
    return data.scoring(instrument) if instrument is not None and data.is_scored(instrument) else None


async def _newest_active(runtime: Runtime, tenant: str, rows: list[Publication]) -> Instrument | None:
    found = {row.version: await _compiled(runtime, tenant, row) for row in rows}
    active = {version: each for version, each in found.items() if each and each.questionnaire.get("status") == "active"}
    return active[newest(list(active))] if active else None


async def _compiled(runtime: Runtime, tenant: str, row: Publication) -> Instrument | None:
    key = tenant, row.questionnaire_id, row.stored_version
    kept = _kept(runtime)
    found = kept.get(key)
    if found is None:
        stored = await runtime.store.read(tenant, "Questionnaire", row.questionnaire_id)
        if stored is None or stored.body is None:
            return None
        # Read after the row was: it may be a newer version already, which differs in status and date alone.
        questionnaire = json.loads(stored.body, parse_float=Decimal)
        key = tenant, row.questionnaire_id, stored.version
        found = kept[key] = compile_instrument(questionnaire, scoring_of(row.instrument))
        if len(kept) > COMPILED_MAX:
            kept.popitem(last=False)
    else:
        kept.move_to_end(key)
    return found


def _kept(runtime: Runtime) -> OrderedDict[tuple[str, str, int], Instrument]:
    kept = runtime.cache.get(find_instrument)
    if not isinstance(kept, OrderedDict):
        kept = runtime.cache[find_instrument] = OrderedDict()
    return kept
