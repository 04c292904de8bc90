"""How the life of each version of a policy is kept, step by step."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, Integer
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import APPEND_ONLY, INDEXED_PLAN


class PolicyStepRow(SQLModel, table=True):
    """One step in the life of a policy's version: into shadow, into force, or out of use.

    Rows of one pathway and site are numbered without gap, so that of two who change which version is in force at one
    moment, on whichever replica, the second is told. `site` is empty for all sites of the tenant.
    """

    __tablename__: ClassVar[str] = "policy_step"
    __table_args__ = ({"info": {APPEND_ONLY: True}},)

    tenant: str = Field(sa_column=text_column(key=True))
    pathway: str = Field(sa_column=text_column(key=True))
    site: str = Field(sa_column=text_column(key=True))
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    life: str = Field(sa_column=text_column())
    url: str = Field(sa_column=text_column())
    version: str = Field(sa_column=text_column())
    plan_definition_id: str = Field(sa_column=text_column())
    at: datetime = Field(sa_column=moment_column())
    by: str = Field(sa_column=text_column())


READ_PUBLICATIONS = f"""CREATE OR REPLACE FUNCTION read_publications(tenant_in text)
RETURNS TABLE (
  pathway text, site text, number integer, life text, url text, version text, plan_definition_id text, at timestamptz,
  stored_version integer
)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT s.pathway, s.site, s.number, s.life, s.url, s.version, s.plan_definition_id, s.at, p.version
    FROM policy_step AS s JOIN fhir_plandefinition AS p ON p.tenant = tenant_in AND p.id = s.plan_definition_id
    WHERE s.tenant = tenant_in ORDER BY s.pathway, s.site, s.number;
END $function$"""
