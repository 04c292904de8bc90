"""Instruments by canonical: those that ship from memory, those that a tenant has published from its database.

Which version of a Questionnaire is stored now is asked every time, so that all replicas see a publication at once;
only what was compiled from it is kept.
"""

import json
from collections import OrderedDict
from collections.abc import Collection
from decimal import Decimal
from typing import Any

from stepwell_shared.runtime import Runtime

from stepwell_screening import data
from stepwell_screening.instruments.compiled import Instrument, compile_instrument
from stepwell_screening.instruments.publications import Publication, PublicationReader
from stepwell_screening.instruments.shipped import instruments, newest_instruments
from stepwell_screening.rules.publication import newest

COMPILED_MAX = 512
_Key = tuple[str, str, int]


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
    found = kept.find(key)
    if found is None:
        stored = await runtime.store.read(tenant, "Questionnaire", row.questionnaire_id)
        if stored is None or stored.body is None:
            return None
        # Read after the row was: it may be a newer version already, which differs in status and date alone.
        questionnaire = json.loads(stored.body, parse_float=Decimal)
        key = tenant, row.questionnaire_id, stored.version
        found = compile_instrument(questionnaire, scoring_of(row.instrument))
        kept.keep(key, found)
    return found


def seen_as(runtime: Runtime, canonical: str) -> Collection[Instrument]:
    """What tenants have published under `url|version`, as far as this process has used it lately."""
    return _kept(runtime).seen_as(canonical)


class _Kept:
    """What was compiled lately, by tenant, id and stored version. What is not asked for is forgotten first."""

    def __init__(self) -> None:
        self._found: OrderedDict[_Key, Instrument] = OrderedDict()
        self._by_canonical: dict[str, dict[_Key, Instrument]] = {}

    def find(self, key: _Key) -> Instrument | None:
        found = self._found.get(key)
        if found is not None:
            self._found.move_to_end(key)
        return found

    def keep(self, key: _Key, instrument: Instrument) -> None:
        self._found[key] = self._by_canonical.setdefault(instrument.canonical, {})[key] = instrument
        if len(self._found) > COMPILED_MAX:
            oldest, forgotten = self._found.popitem(last=False)
            same = self._by_canonical[forgotten.canonical]
            del same[oldest]
            if not same:
                del self._by_canonical[forgotten.canonical]

    def seen_as(self, canonical: str) -> Collection[Instrument]:
        return self._by_canonical.get(canonical, {}).values()


def _kept(runtime: Runtime) -> _Kept:
    kept = runtime.cache.get(_Kept)
    if not isinstance(kept, _Kept):
        kept = runtime.cache[_Kept] = _Kept()
    return kept
