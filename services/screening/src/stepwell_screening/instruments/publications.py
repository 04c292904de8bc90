"""Which Questionnaires a tenant has published, under which url and version, and who attested the right to use them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database


class Publication(NamedTuple):
    """One row as it is read; `stored_version` is the version under which the Questionnaire is stored now."""

    url: str
    version: str
    questionnaire_id: str
    published: datetime
    instrument: str | None
    attested_by: str | None
    licence: str | None
    stored_version: int


_BY_INSTRUMENT, _BY_URL = "instrument", "url"


def publication_effect(row: Publication, published_by: str) -> Effect:
    """The row that takes `url|version`; a commit in which it is taken already raises WriteConflictError."""
    values = (row.url, row.version, row.questionnaire_id, row.published, published_by)
    return Effect("publication", (*values, row.instrument, row.attested_by, row.licence))


class PublicationReader:
    """Reads publications by url or by instrument, oldest first; those who ask at once share a call."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._coalescer: Coalescer[list[Publication]] = Coalescer(self._fetch)

    async def of_url(self, tenant: str, url: str) -> list[Publication]:
        """Every version that this tenant has published under the url."""
        return await self._coalescer.get((tenant, _BY_URL), url) or []

    async def of_instrument(self, tenant: str, instrument: str) -> list[Publication]:
        """Every Questionnaire that this tenant has imported for the instrument."""
        return await self._coalescer.get((tenant, _BY_INSTRUMENT), instrument) or []

    async def _fetch(self, group: tuple[str, ...], keys: Sequence[str]) -> Mapping[str, list[Publication]]:
        found: dict[str, list[Publication]] = {}
        statement = "SELECT * FROM read_publications($1, $2, $3)"
        for row in await self._database.fetch(statement, group[0], keys, group[1] == _BY_INSTRUMENT):
            key, *rest = row
            found.setdefault(key, []).append(Publication(*rest))
        return found
