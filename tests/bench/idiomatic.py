"""The yardstick: the same three operations as most would write them first, on the same server and the same content.

FastAPI path operations with fhir.resources models in and out, SQLModel sessions on SQLAlchemy's ordinary pool, the
resource in a JSONB column beside the columns that are searched, with the index that this search wants. It has no
authentication, no tenants, no audit and no history, all of which the product has.
"""

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import asyncpg
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.observation import Observation
from sqlalchemy import Column, DateTime, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

SCHEMA = "idiomatic"
TABLE = f"{SCHEMA}.observation"


class StoredObservation(SQLModel, table=True):
    """One Observation with what is searched."""

    __tablename__ = "observation"
    __table_args__ = (Index("observation_search", "patient", "code", "effective"), {"schema": SCHEMA})

    id: str = Field(default_factory=lambda: str(uuid4()), primary_key=True)
    version: int = 1
    last_updated: datetime = Field(sa_type=DateTime(timezone=True))
    patient: str
    code: str
    effective: datetime = Field(sa_type=DateTime(timezone=True))
    body: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


def application(database_url: str) -> FastAPI:
    """The three operations on this database (a SQLAlchemy URL)."""
    sessions = async_sessionmaker(create_async_engine(database_url), class_=AsyncSession, expire_on_commit=False)

    async def session() -> AsyncIterator[AsyncSession]:
        async with sessions() as opened:
            yield opened

    Session = Annotated[AsyncSession, Depends(session)]  # noqa: N806  an alias, as FastAPI's own documentation has it
    app = FastAPI()

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/Observation", status_code=201, response_model_exclude_none=True)
    async def create(observation: Observation, opened: Session) -> Observation:
        stored = stored_observation(observation)
        opened.add(stored)
        await opened.commit()
        return observation

    @app.get("/Observation/{id_}", response_model_exclude_none=True)
    async def read(id_: str, opened: Session) -> Observation:
        stored = await opened.get(StoredObservation, id_)
        if stored is None:
            raise HTTPException(404)
        return Observation.model_validate(stored.body)

    @app.get("/Observation", response_model_exclude_none=True)
    async def search(request: Request, patient: str, code: str, opened: Session, count: int = 20) -> Bundle:
        statement = (
            select(StoredObservation)
            .where(StoredObservation.patient == patient, StoredObservation.code == code)
            .order_by(col(StoredObservation.effective).desc())
            .limit(count)
        )
        found = (await opened.exec(statement)).all()
        entries = [
            {"fullUrl": f"{request.base_url}Observation/{stored.id}", "resource": stored.body} for stored in found
        ]
        return Bundle.model_validate({"resourceType": "Bundle", "type": "searchset", "entry": entries})

    return app


def stored_observation(observation: Observation) -> StoredObservation:
    """The row of a received Observation, which gets its id and meta."""
    subject, codings = observation.subject, observation.code.coding
    if subject is None or subject.reference is None or not codings or observation.effectiveDateTime is None:
        raise HTTPException(422)
    observation.id = str(uuid4())
    return StoredObservation(
        id=observation.id,
        last_updated=datetime.now(UTC),
        patient=subject.reference.removeprefix("Patient/"),
        code=str(codings[0].code),
        effective=observation.effectiveDateTime,
        body=observation.model_dump(mode="json"),
    )


async def fill(connection: asyncpg.Connection) -> None:
    """Makes the table anew, with every Observation that the product's table has."""
    await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
    await connection.execute(
        f"CREATE TABLE {TABLE} (id varchar NOT NULL, version integer NOT NULL, last_updated timestamptz NOT NULL,"
        " patient varchar NOT NULL, code varchar NOT NULL, effective timestamptz NOT NULL, body jsonb NOT NULL)"
    )
    await connection.execute(
        f"INSERT INTO {TABLE} SELECT id, version, last_updated, substr(body #>> '{{subject,reference}}', 9),"
        " body #>> '{code,coding,0,code}', (body ->> 'effectiveDateTime')::timestamptz, body FROM ("
        "  SELECT id, version, last_updated, convert_from(body, 'UTF8')::jsonb AS body FROM fhir_observation"
        "  ORDER BY last_updated) AS o"
    )
    await connection.execute(f"ALTER TABLE {TABLE} ADD PRIMARY KEY (id)")
    await connection.execute(f"CREATE INDEX observation_search ON {TABLE} (patient, code, effective)")


if __name__ == "__main__":
    url, port = sys.argv[1:]
    uvicorn.run(
        application(url), port=int(port), loop="uvloop", http="httptools", log_level="warning", access_log=False
    )
