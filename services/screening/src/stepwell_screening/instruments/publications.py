"""Which Questionnaires a tenant has published, under which url and version, and who attested the right to use them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

from sqlmodel import Field, SQLModel
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import APPEND_ONLY, INDEXED_PLAN, Effect
from stepwell_shared.database.pool import Database


class PublicationRow(SQLModel, table=True):
    """One `url|version` that a Questionnaire of this tenant took when it was first published.

    It keeps it for good: of two writers who publish the same one the second finds it taken, and answers given to a
    retired version still name one Questionnaire. `instrument` is the skeleton that it was imported against, whose
    scoring it has; then `attested_by` said that the site may use it, under `licence`.
    """

    __tablename__: ClassVar[str] = "publication"
    __table_args__ = ({"info": {APPEND_ONLY: True}},)

    tenant: str = Field(sa_column=text_column(key=True))
    url: str = Field(sa_column=text_column(key=True))
    version: str = Field(sa_column=text_column(key=True))
    questionnaire_id: str = Field(sa_column=text_column())
    published: datetime = Field(sa_column=moment_column())
    published_by: str = Field(sa_column=text_column())
    instrument: str | None = Field(sa_column=text_column(optional=True))
    attested_by: str | None = Field(sa_column=text_column(optional=True))
    licence: str | None = Field(sa_column=text_column(optional=True))


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


# A tenant has tens of publications: reading all of them by the key's first column is as quick as another index.
READ_PUBLICATIONS = f"""CREATE OR REPLACE FUNCTION read_publications(
  tenant_in text, key_in text[], by_instrument boolean
) RETURNS TABLE (
  key text, url text, version text, questionnaire_id text, published timestamptz, instrument text, attested_by text,
  licence text, stored_version integer
)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT CASE WHEN by_instrument THEN p.instrument ELSE p.url END, p.url, p.version, p.questionnaire_id,
      p.published, p.instrument, p.attested_by, p.licence, q.version
    FROM publication AS p JOIN fhir_questionnaire AS q ON q.tenant = tenant_in AND q.id = p.questionnaire_id
    WHERE p.tenant = tenant_in AND q.body IS NOT NULL
      AND CASE WHEN by_instrument THEN p.instrument = ANY(key_in) ELSE p.url = ANY(key_in) END
    ORDER BY p.published, p.version;
END $function$"""

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
