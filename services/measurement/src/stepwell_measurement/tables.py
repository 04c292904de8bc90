"""The series of scores of one person on one instrument: read in one call, changed by one writer at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

import msgspec
from sqlalchemy import Column, Integer, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlmodel import Field, SQLModel
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.functions import INDEXED_PLAN, Effect
from stepwell_shared.database.pool import Database


class SeriesStepRow(SQLModel, table=True):
    """One change of one series: number 1 is its first score, and no number is taken twice.

    Two writers who saw the same last step cannot both commit; the second looks again. `outcome` is what
    subscribers were told last, null as long as there was nothing to tell.
    """

    __tablename__: ClassVar[str] = "series_step"

    tenant: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    person: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    code: str = Field(sa_column=Column(Text(collation="C"), primary_key=True))
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    observation_id: str = Field(sa_column=Column(Text(collation="C"), nullable=False))
    outcome: str | None = Field(sa_column=Column(Text(collation="C")))
    recorded: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))


class SeriesKey(NamedTuple):
    """Whose scores on what: the person's reference (or `system|value` of an identifier) and the LOINC code."""

    person: str
    code: str


class KeptScore(NamedTuple):
    """One Observation of a series as it is stored."""

    resource: dict[str, Any]
    version: int


@dataclass
class Series:
    """One series as stored: its last step (0 before the first), what was told last, its Observations by id."""

    number: int = 0
    outcome: str | None = None
    scores: dict[str, KeptScore] = field(default_factory=dict)


# A person whom an identifier names has no address to search by: the steps know which Observations are theirs.
# `|| ''` keeps to the index by person: that by code leads through everybody's scores, and looks as good while there are
# no statistics. LIMIT 1 and OFFSET 0 keep the look-ups in this order (person, then code, then body) even then;
# joined freely, 500 persons with three scores each took 1,600 ms instead of 30.
READ_SERIES = f"""CREATE OR REPLACE FUNCTION read_series(tenant_in text, person_in text[], code_in text[])
RETURNS TABLE (person text, code text, number integer, outcome text, version integer, body bytea)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT k.person, k.code, last.number, last.outcome, NULL::integer, NULL::bytea
    FROM unnest(person_in, code_in) AS k(person, code)
    CROSS JOIN LATERAL (
      SELECT s.number, s.outcome FROM series_step AS s
      WHERE s.tenant = tenant_in AND s.person = k.person AND s.code = k.code ORDER BY s.number DESC LIMIT 1
    ) AS last;
  RETURN QUERY SELECT k.person, k.code, NULL::integer, NULL::text, o.version, o.body
    FROM unnest(person_in, code_in) AS k(person, code)
    CROSS JOIN LATERAL (
      SELECT p.id FROM fhir_observation AS p WHERE p.tenant = tenant_in AND p.p_patient = k.person
        AND p.p_code || '' = k.code AND p.p_code_system = 'http://loinc.org'
      UNION
      SELECT p.id FROM fhir_observation AS p WHERE p.tenant = tenant_in AND p.p_patient = k.person
        AND p.p_code || '' IS NULL
        AND (SELECT true FROM fhir_observation_index AS i WHERE i.tenant = tenant_in AND i.id = p.id
          AND i.parameter = 'code' AND i.system = 'http://loinc.org' AND i.code = k.code LIMIT 1)
      UNION
      SELECT s.observation_id FROM series_step AS s
        WHERE s.tenant = tenant_in AND s.person = k.person AND s.code = k.code
    ) AS member
    CROSS JOIN LATERAL (
      SELECT f.id, f.version, f.body, f.p_date_low FROM fhir_observation AS f
      WHERE f.tenant = tenant_in AND f.id = member.id AND f.body IS NOT NULL OFFSET 0
    ) AS o
    ORDER BY k.person, k.code, o.p_date_low, o.id;
END $function$"""

_resource = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def kept_score(body: bytes, version: int) -> KeptScore:
    """An Observation as the series takes it; decimals stay as they are written."""
    return KeptScore(_resource.decode(body), version)


def step_effect(key: SeriesKey, number: int, observation_id: str, outcome: str | None, recorded: datetime) -> Effect:
    """The next step of a series, to be committed with the change that it stands for."""
    return Effect("series_step", (key.person, key.code, number, observation_id, outcome, recorded))


def series_reader(database: Database) -> Coalescer[Series]:
    """Reads series by `key_text`; the group is (tenant,). Those who ask in one turn of the loop share a call."""

    async def fetch(group: tuple[str, ...], keys: Sequence[str]) -> Mapping[str, Series]:
        codes, persons = zip(*(key.split(" ", 1) for key in keys), strict=True)
        found: dict[str, Series] = {}
        for row in await database.fetch("SELECT * FROM read_series($1, $2, $3)", group[0], persons, codes):
            series = found.setdefault(key_text(SeriesKey(row["person"], row["code"])), Series())
            if row["body"] is None:
                series.number, series.outcome = row["number"], row["outcome"]
            else:
                score = kept_score(row["body"], row["version"])
                series.scores[score.resource["id"]] = score
        return found

    return Coalescer(fetch)


def key_text(key: SeriesKey) -> str:
    """A series key as one text: a code has no blank, a person may have."""
    return f"{key.code} {key.person}"
