"""How it is kept what a tenant has published: a `url|version` is taken once and for good."""

from datetime import datetime
from typing import ClassVar

from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import APPEND_ONLY, INDEXED_PLAN


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
