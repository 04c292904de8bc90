"""What the bench writes and asks for, and the bulk loading that gives its tables a realistic size."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.client import SuiteClient, filled

Resource = dict[str, Any]

LOINC = "http://loinc.org"
PHQ_9_TOTAL, GAD_7_TOTAL = ("44261-6", "PHQ-9 total score"), ("70274-6", "GAD-7 total score")
# No score: one that an EHR posts also brings the person's trajectory up to date, which is more than a create.
HEART_RATE = ("8867-4", "Heart rate")
PHQ_9_WEIGHTS = (2, 2, 2, 2, 2, 2, 2, 2, 0)
PAGE = 20
"""Hits of the search: the PHQ-9 scores that each patient has."""
OTHERS = 5
"""Scores on another code that the search must pass over."""


def loaded_id(kind: str, number: int) -> str:
    """The id of the number-th loaded resource; `loaded_id_sql` says the same in SQL."""
    return str(UUID(hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest()))


def loaded_id_sql(kind: str, number: str) -> str:
    """SQL for the id of the resource whose number the expression gives."""
    return f"(md5('{kind}' || {number})::uuid::text)"


def patient() -> Resource:
    """A person as a practice would create one."""
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:bench:patient"}],
        "name": [{"family": "Example", "given": ["Robin"]}],
        "gender": "female",
        "birthDate": "1984-05-12",
    }


def observation(patient_id: str, code: tuple[str, str] = PHQ_9_TOTAL) -> Resource:
    """A score that an EHR posts, about 670 bytes as JSON."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "survey",
                        "display": "Survey",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": LOINC, "code": code[0], "display": code[1]}], "text": code[1]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "effectiveDateTime": "2026-05-04T09:30:00+02:00",
        "issued": "2026-05-04T07:31:12.480Z",
        "performer": [{"display": "Practice North"}],
        "valueQuantity": {
            "value": 16,
            "unit": "{score}",
            "system": "http://unitsofmeasure.org",
            "code": "{score}",
        },
        "interpretation": [{"text": "moderately severe"}],
    }


async def response(client: SuiteClient, patient_id: str) -> Resource:
    """A finished PHQ-9 of 16 points without thoughts of self-harm."""
    canonical = f"{CANONICAL}/Questionnaire/phq-9"
    questionnaire = (await client.search("screening", "Questionnaire", url=canonical))[0]
    return filled(
        questionnaire,
        PHQ_9_WEIGHTS,
        patient=f"Patient/{patient_id}",
        authored=datetime.now(UTC),
        identifier=f"urn:uuid:{patient_id}",
    )


def http_request(method: str, path: str, port: int, token: str, resource: Resource | None = None) -> bytes:
    """One HTTP/1.1 request as bytes, with a body where there is a resource."""
    body = b"" if resource is None else orjson.dumps(resource)
    head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {token}"]
    head += ["Accept: application/fhir+json"]
    if resource is not None:
        head += ["Content-Type: application/fhir+json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


async def clone_patients(connection: asyncpg.Connection, patient_id: str, count: int) -> None:
    """Loads `count` more patients like this one."""
    await _clone(
        connection,
        "Patient",
        source=patient_id,
        renames=((patient_id, loaded_id_sql("patient", "n")),),
        id_sql=loaded_id_sql("patient", "n"),
        count=count,
    )


async def _clone(
    connection: asyncpg.Connection,
    resource_type: str,
    *,
    source: str,
    renames: Sequence[tuple[str, str]],
    id_sql: str,
    count: int,
) -> None:
    """Copies every row of one resource `count` times under other ids; n runs from 0."""
    current = f"fhir_{resource_type.lower()}"
    same_id = f"t.id = '{source}'"
    for table, where in (
        (current, same_id),
        (f"{current}_index", same_id),
        ("fhir_version", f"t.resource_type = '{resource_type}' AND {same_id}"),
    ):
        columns = await connection.fetch(
            "SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
            " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table,
        )
        values = [_value(row["name"], row["type"], renames, id_sql) for row in columns]
        names = ", ".join(row["name"] for row in columns)
        await connection.execute(
            f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} FROM {table} AS t,"
            f" generate_series(0, {count - 1}) AS n WHERE {where}"
        )


def _value(name: str, type_: str, renames: Sequence[tuple[str, str]], id_sql: str) -> str:
    """SQL for one column of a copy."""
    if name == "id":
        return id_sql
    if type_ not in {"text", "bytea"}:
        return f"t.{name}"
    value = f"convert_from(t.{name}, 'UTF8')" if type_ == "bytea" else f"t.{name}"
    for old, new in renames:
        value = f"replace({value}, '{old}', {new})"
    return f"convert_to({value}, 'UTF8')" if type_ == "bytea" else value
