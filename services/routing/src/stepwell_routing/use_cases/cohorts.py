"""The people that a policy is tried on: those whose evidence a tenant has kept, or people who do not exist."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import orjson
from stepwell_shared.runtime import Runtime

from stepwell_routing.data.simulating import age_starts
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.simulation import Person
from stepwell_routing.tables import Known
from stepwell_routing.use_cases.areas import area_strata
from stepwell_routing.use_cases.course import course_of
from stepwell_routing.use_cases.evidence import person_rows
from stepwell_routing.use_cases.governing import managing_organization, site_named
from stepwell_routing.use_cases.knowledge import evidence_of, situation_then
from stepwell_routing.use_cases.persons import site_rows

PEOPLE_A_PAGE = 500
NOT_RECORDED = "not-recorded"
DIMENSIONS = ("sex", "age", "language", "ethnicity")
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"

# People are named by a reference or by system and value; whatever else rows are kept of is nobody.
_SUBJECTS = """SELECT DISTINCT subject FROM evidence
  WHERE subject > $1 AND observed_at >= $2 AND observed_at < $3 AND subject ~ '[/|]' ORDER BY subject LIMIT $4"""
_EVIDENCE = """SELECT subject, name, value, observed_at, reference, source_version FROM evidence
  WHERE subject = ANY($1) AND observed_at < $2 ORDER BY subject, position"""
_PATIENTS = "SELECT id, body FROM fhir_patient WHERE id = ANY($1) AND body IS NOT NULL"


async def recorded(
    runtime: Runtime, tenant: str, policies: Sequence[Policy], start: datetime, end: datetime, many: int
) -> AsyncIterator[Person]:
    """People of whom something was observed in the period, each as they were known at their last observation in it.

    The first policy asks for the evidence of each, a second one for what is compared.
    """
    after, found = "", 0
    while found < many:
        async with runtime.database.transaction(tenant) as connection:
            rows = await connection.fetch(_SUBJECTS, after, start, end, min(PEOPLE_A_PAGE, many - found))
            subjects = [row["subject"] for row in rows]
            known = await connection.fetch(_EVIDENCE, subjects, end)
            patients = await connection.fetch(_PATIENTS, [each.rpartition("/")[2] for each in subjects])
        if not subjects:
            return
        bodies = {f"Patient/{row['id']}": row["body"] for row in patients}
        for person in _persons(runtime, policies, known, bodies):
            yield person
        after, found = subjects[-1], found + len(subjects)


def _persons(
    runtime: Runtime, policies: Sequence[Policy], rows: Sequence[Any], patients: Mapping[str, bytes]
) -> Iterator[Person]:
    """Without the places of that time: they change what is offered, and no step that is counted here."""
    for subject, found in groupby(rows, key=itemgetter("subject")):
        known = [Known(*list(row)[1:]) for row in found]
        now = max(each.observed_at for each in known)
        patient = orjson.loads(patients.get(subject, b"{}"))
        site = site_named(runtime, managing_organization(runtime, patient))
        known += [*person_rows(patient, subject, now), *site_rows(site, subject, now)]
        course = course_of(known)
        situation = situation_then(course, subject)
        # Each policy counts steps by its own ladder, and may call the same measure by another name.
        proposed, *present = (evidence_of(policy, known, course, situation, now) for policy in policies)
        strata = {**strata_of(patient, now.date()), **area_strata(patient, proposed)}
        yield Person(proposed, now, strata, next(iter(present), None))


def strata_of(patient: Mapping[str, Any], today: date) -> dict[str, str]:
    """Where somebody belongs, as far as their Patient says; what is not recorded is a stratum of its own."""
    languages = sorted(patient.get("communication", ()), key=lambda each: not each.get("preferred", False))
    codings = [coding for each in languages[:1] for coding in each.get("language", {}).get("coding", ())]
    return {
        "sex": str(patient.get("gender", NOT_RECORDED)),
        "age": _age_band(patient.get("birthDate"), today),
        "language": str(codings[0]["code"]).partition("-")[0] if codings and "code" in codings[0] else NOT_RECORDED,
        "ethnicity": _ethnicity(patient),
    }


def _ethnicity(patient: Mapping[str, Any]) -> str:
    """The broad category of US Core's extensions."""
    for extension in patient.get("extension", ()):
        if extension.get("url") in {f"{US_CORE}ethnicity", f"{US_CORE}race"}:
            for part in extension.get("extension", ()):
                if part.get("url") == "ombCategory" and "code" in part.get("valueCoding", {}):
                    return str(part["valueCoding"]["code"])
    return NOT_RECORDED


def _age_band(born: str | None, today: date) -> str:
    """The band of age at a day; a birth date of a year alone counts from its first day."""
    if not born:
        return NOT_RECORDED
    parts = [int(part) for part in born.split("-")]
    year, month, day = (*parts, 1, 1)[:3]
    age = today.year - year - ((today.month, today.day) < (month, day))
    starts = [start for start in age_starts() if start <= age]
    if not starts:
        return NOT_RECORDED
    following = [start for start in age_starts() if start > age]
    return f"{starts[-1]}-{following[0] - 1}" if following else f"{starts[-1]}+"


async def unhurried(persons: Iterator[Person], at_once: int = 50) -> AsyncIterator[Person]:
    """The same people; between them the event loop gets its turn, so that nobody else waits for a simulation."""
    for number, person in enumerate(persons):
        if number % at_once == 0:
            await asyncio.sleep(0)
        yield person
