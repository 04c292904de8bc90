"""`Observation/$lastn` and `$stats`: the last few of each kind, and figures about one kind, of one person.

https://hl7.org/fhir/R4/observation-operation-lastn.html, https://hl7.org/fhir/R4/observation-operation-stats.html
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from stepwell_shared.canonical import instant
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions.reach import resolved_query
from stepwell_shared.fhir.messages import Request, Response, bundle, match_entries
from stepwell_shared.fhir.presentation import WHOLE
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.search.terms import escape, too_costly
from stepwell_shared.runtime import Runtime

from stepwell_measurement.rules.statistics import known_statistics, statistic
from stepwell_measurement.tables import kept_score, observed_codes
from stepwell_measurement.use_cases.asked import parameters_in, refused
from stepwell_measurement.use_cases.series import STANDING

MAX_MAX, KINDS_MAX, VALUES_MAX = 100, 200, 10_000
STATISTICS = "http://terminology.hl7.org/CodeSystem/observation-statistics"
_OBSERVATION = "Observation"
_HOUR = timedelta(hours=1)
_WORDS = frozenset({"_format", "_pretty"})

Resource = dict[str, Any]
Pairs = list[tuple[str, str]]


async def last_of_each(runtime: Runtime, request: Request) -> Response:
    """The newest `max` (1 unless given) of each code; search parameters narrow what counts, patient or subject is a
    must, and so is category or code. Raises FhirError INVALID."""
    given = parameters_in(request)
    most = _whole(dict(given).get("max", "1"), "max", MAX_MAX)
    criteria = [(name, value) for name, value in given if name not in {"max", *_WORDS}]
    names = {name.partition(":")[0] for name, _ in criteria}
    people = [value for name, value in criteria if name in {"patient", "subject"}]
    if len(people) != 1 or not names & {"category", "code"}:
        raise refused("patient (or subject) says of whom, category or code says what", "required")
    person = _person(runtime, people[0])
    kinds = await observed_codes(runtime.database, request.access.tenant, person)
    if len(kinds) > KINDS_MAX:
        raise too_costly(f"this person has more than {KINDS_MAX} kinds of Observation; search for them by code")
    entries: list[bytes] = []
    seen: set[str] = set()
    served_type = runtime.engine.registry.types[_OBSERVATION]
    for system, code in kinds:
        token = ("code", f"{escape(system)}|{escape(code)}")
        rows = [row for row in await _found(runtime, request, [*criteria, token], most) if row["id"] not in seen]
        seen.update(row["id"] for row in rows)
        entries += match_entries(runtime.engine.base_url, served_type, rows, WHOLE)
    body = bundle("searchset", len(entries), [("self", _self(runtime, given))], entries, runtime.clock())
    return Response(200, body)


async def statistics(runtime: Runtime, request: Request) -> Response:
    """Figures (`statistic`, one or more) about the values of one `code` of one `subject`, of those since `duration`
    hours or in a `period`; with `include` the Observations beside them. What does not stand is left out."""
    given = parameters_in(request)
    found = dict(given)
    wanted = list(dict.fromkeys(value for name, value in given if name == "statistic"))
    unknown = [each for each in wanted if each not in known_statistics()]
    if not wanted or unknown:
        raise refused(f"statistic is one or more of {', '.join(known_statistics())}", "not-supported")
    if "subject" not in found or not {"code", "coding"} & found.keys():
        raise refused("subject says of whom, code (and system) or coding says what", "required")
    criteria = [("subject", found["subject"]), ("code", _token(found)), *_times(runtime, found)]
    limit = _whole(found.get("limit", str(VALUES_MAX)), "limit", VALUES_MAX)
    rows = await _found(runtime, request, criteria, limit)
    observations = [kept_score(row["body"], row["version"]).resource for row in rows]
    counted = [each for each in observations if each.get("status") in STANDING and _value(each) is not None]
    units = list(dict.fromkeys(_unit(each) for each in counted)) or [("", "")]
    parameters = [{"name": "statistics", "resource": _figures(counted, unit, wanted, found, runtime)} for unit in units]
    if found.get("include") == "true":
        parameters += [{"name": "source", "resource": each} for each in counted]
    return Response(200, encode({"resourceType": "Parameters", "parameter": parameters}))


def _figures(
    counted: Sequence[Resource], unit: tuple[str, str], wanted: Sequence[str], given: dict[str, str], runtime: Runtime
) -> Resource:
    """The figures of the values in one unit, as an Observation that is not kept."""
    mine = [each for each in counted if _unit(each) == unit]
    values = [value for each in mine if (value := _value(each)) is not None]
    code = mine[0]["code"] if mine else {"text": "No value"}
    subject = mine[0]["subject"] if mine else {"reference": _person(runtime, given["subject"])}
    components = []
    for each in wanted:
        figure = statistic(each, values)
        part: Resource = {"code": {"coding": [{"system": STATISTICS, "code": each}]}}
        if figure is None:
            absent = {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}
            part["dataAbsentReason"] = {"coding": [absent]}
        else:
            is_count = each in {"count", "total-count"}
            part["valueQuantity"] = {"value": figure} | ({} if is_count else _quantity(unit))
        components.append(part)
    return {
        "resourceType": _OBSERVATION,
        "status": "final",
        "code": code,
        "subject": subject,
        "effectiveDateTime": instant(runtime.clock()),
        "component": components,
    }


def _quantity(unit: tuple[str, str]) -> Resource:
    words, code = unit
    coded = {"system": "http://unitsofmeasure.org", "code": code} if code else {}
    return ({"unit": words} if words else {}) | coded


def _value(observation: Resource) -> Decimal | None:
    value = observation.get("valueQuantity", {}).get("value", observation.get("valueInteger"))
    return None if value is None else Decimal(value)


def _unit(observation: Resource) -> tuple[str, str]:
    quantity = observation.get("valueQuantity", {})
    return str(quantity.get("unit", "")), str(quantity.get("code", ""))


async def _found(runtime: Runtime, request: Request, criteria: Pairs, most: int) -> list[Any]:
    """The newest matches within the caller's reach."""
    served_type = runtime.engine.permitted(request, Interaction.SEARCH_TYPE)
    granted = request.access.filters(_OBSERVATION, Interaction.SEARCH_TYPE)
    query = await resolved_query(runtime.engine, request, served_type, [*criteria, ("_sort", "-date")], granted)
    query.count = most
    rows = await runtime.store.search(request.access.tenant, *query.page_statement())
    return list(rows[:most])


def _token(found: dict[str, str]) -> str:
    if "coding" in found:
        return found["coding"]
    system = found.get("system")
    return f"{escape(system)}|{escape(found['code'])}" if system else found["code"]


def _times(runtime: Runtime, found: dict[str, str]) -> Pairs:
    start, _, end = found.get("period", "").partition("/")
    times = [("date", f"ge{start}")] if start else []
    if end:
        times.append(("date", f"le{end}"))
    if "duration" in found:
        hours = _whole(found["duration"], "duration", 24 * 366 * 20)
        times.append(("date", f"ge{instant(runtime.clock() - hours * _HOUR)}"))
    return times


def _person(runtime: Runtime, text: str) -> str:
    """The reference of somebody whom a search names by id, `Patient/id` or address."""
    return runtime.engine.localise(text if "/" in text else f"Patient/{text}")


def _whole(text: str, name: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= most):
        raise refused(f"{name} is a whole number from 1 to {most}", "value")
    return int(text)


def _self(runtime: Runtime, given: Pairs) -> str:
    return f"{runtime.engine.base_url}/Observation/$lastn?{urlencode(given)}"
