"""Item banks of adaptive tests: brought in by a site that attests its right to use them, and found by canonical."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import CANONICAL, derived_id, instant
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.interactions.asked import asked
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import compile_instrument, publications
from stepwell_screening.instruments.publications import Publication, publication_effect
from stepwell_screening.rules.adaptive import Step
from stepwell_screening.rules.aggregation import ScoreResult
from stepwell_screening.rules.conditions import always
from stepwell_screening.rules.definition import Missing, ScoreDefinition
from stepwell_screening.rules.item_banks import SuppliedBank, parse_bank
from stepwell_screening.rules.item_response import Estimate

KEPT_MAX = 64
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_PARAMETERS = {"questionnaire": ("resource",), "attestedBy": ("valueString",), "licence": ("valueString",)}

Resource = dict[str, Any]


async def import_item_bank(runtime: Runtime, request: Request) -> Response:
    """`Questionnaire/$import-item-bank`: publishes a bank under its url and version, for good.

    Parameters: questionnaire, attestedBy (who says that the site may use it), licence (under which terms). Raises
    FhirError: 400 for anything else, 422 for a bank that cannot measure or whose url and version are taken.
    """
    if request.access.filters("Questionnaire", Interaction.CREATE):
        raise FhirError(Category.FORBIDDEN, "this token may create some Questionnaires only; this needs all of them")
    given = asked(request, _PARAMETERS)
    missing = [name for name in _PARAMETERS if name not in given]
    if missing:
        raise FhirError(
            Category.INVALID, [Issue(f"say {name}", "required", "Parameters.parameter") for name in missing]
        )
    questionnaire = _exactly(request.body)
    _refuse_heading(questionnaire)
    _refuse_what_cannot_be_asked(questionnaire)
    tenant, now = request.access.tenant, runtime.clock()
    url, version = questionnaire["url"], questionnaire["version"]
    id_ = derived_id(runtime.engine.base_url, tenant, "item-bank", url, version)
    change = built(runtime.engine, {**questionnaire, "id": id_}, now)
    row = Publication(url, version, id_, now, None, given["attestedBy"], given["licence"], change.stored.version)
    served_type = runtime.engine.served("Questionnaire", Interaction.READ)
    answer = written(runtime.engine.base_url, request, served_type, change.stored, created=True)
    attested = built(runtime.engine, _attestation(runtime, request, id_, given, now), now)
    published_by = request.access.fhir_user or request.access.client_id
    effects = [publication_effect(row, published_by), *request.records("$import-item-bank", answer)]
    try:
        await runtime.store.commit(UnitOfWork(tenant, [change, attested], effects))
    except WriteConflictError as conflict:
        raise _refused("this url and version are published already; give another version", "version") from conflict
    return answer


async def find_bank(runtime: Runtime, tenant: str, canonical: str) -> SuppliedBank | None:
    """The bank of `url|version` that this tenant may use; None when it has none."""
    url, _, version = canonical.partition("|")
    for row in await publications(runtime).of_url(tenant, url):
        if row.version == version and row.instrument is None and row.attested_by is not None:
            return await _kept_bank(runtime, tenant, row)
    return None


def t_score(supplied: SuppliedBank, steps: Sequence[Step], response: Resource) -> ScoreResult:
    """The T score of a bank as any other score, with its standard error; without an answer there is none."""
    used = tuple(supplied.answers([step.link_id for step in steps], response))
    estimate = supplied.measure(steps, response)
    return ScoreResult(
        score=_score(supplied),
        value=estimate.t_score if estimate is not None else None,
        band=None,
        items_answered=len(used),
        items_total=len(steps),
        prorated=False,
        items_used=used,
        missing=(),
        standard_error=estimate.t_score_standard_error if estimate is not None else None,
    )


def _score(supplied: SuppliedBank) -> ScoreDefinition:
    bank = supplied.bank
    lower, upper = (Estimate(each, 0).t_score for each in (bank.lower, bank.upper))
    return ScoreDefinition(
        id="t-score",
        instrument=f"{supplied.questionnaire['url']}|{supplied.questionnaire['version']}",
        name=supplied.code["display"],
        code=supplied.code,
        link_id=None,
        method="item-response",
        announced=True,
        item_link_ids=(),
        item_ranges={},
        reversed_link_ids=frozenset(),
        recodes={},
        lower=lower,
        upper=upper,
        decimals=1,
        unit="{score}",
        higher_is_better=supplied.higher_is_better,
        missing=Missing(0, "prorate", "half-up", supplied.source, product_default=False),
        applies=always,
        bands=(),
        alternative_bands=(),
        cut_offs=(),
        categories=(),
        remarks=(),
        table=None,
    )


async def _kept_bank(runtime: Runtime, tenant: str, row: Publication) -> SuppliedBank | None:
    kept = _kept(runtime)
    key = tenant, row.questionnaire_id, row.stored_version
    if key not in kept:
        stored = await runtime.store.read(tenant, "Questionnaire", row.questionnaire_id)
        if stored is None or stored.body is None:
            return None
        bank, _ = parse_bank(json.loads(stored.body, parse_float=Decimal))
        if bank is None:
            return None
        kept[key] = bank
        if len(kept) > KEPT_MAX:
            kept.popitem(last=False)
    return kept[key]


def _kept(runtime: Runtime) -> OrderedDict[tuple[str, str, int], SuppliedBank]:
    kept = runtime.cache.get(find_bank)
    if not isinstance(kept, OrderedDict):
        kept = runtime.cache[find_bank] = OrderedDict()
    return kept


def _attestation(runtime: Runtime, request: Request, id_: str, given: Resource, now: datetime) -> Resource:
    """Who attested the right to use a bank, who brought it in, when, and under which terms."""
    entered_by = request.access.fhir_user
    who = {"reference": entered_by} if entered_by else {"type": "Device", "display": "Stepwell screening"}
    agents = [("attester", {"display": given["attestedBy"]}), ("enterer", who)]
    return {
        "resourceType": "Provenance",
        "id": derived_id(runtime.engine.base_url, request.access.tenant, "attestation", id_),
        "target": [{"reference": f"Questionnaire/{id_}/_history/1"}],
        "recorded": instant(now),
        "reason": [{"text": f"Licence: {given['licence']}"}],
        "agent": [{"type": {"coding": [{"system": PARTICIPANT, "code": code}]}, "who": who} for code, who in agents],
    }


def _exactly(body: bytes) -> Resource:
    """The Questionnaire as it was sent, its decimals as they were written."""
    parameters = json.loads(body, parse_float=Decimal)["parameter"]
    found: Resource = next(each["resource"] for each in parameters if each["name"] == "questionnaire")
    return found


def _refuse_heading(questionnaire: Resource) -> None:
    if questionnaire.get("resourceType") != "Questionnaire":
        raise _refused("a bank is a Questionnaire", "resourceType")
    for name in ("url", "version", "title"):
        if not questionnaire.get(name):
            raise _refused(f"a bank has a {name}", name)
    if questionnaire.get("status") != "active":
        raise _refused("a bank that is imported is active", "status")
    if questionnaire["url"].startswith(f"{CANONICAL}/"):
        raise _refused("this url is ours; a bank has one of the site or of its authors", "url")


def _refuse_what_cannot_be_asked(questionnaire: Resource) -> None:
    """Every problem of the bank; then whether its questions can be put and their answers be checked."""
    _, findings = parse_bank(questionnaire)
    if findings:
        raise FhirError(Category.BUSINESS_RULE, [Issue(each.text, each.code, each.expression) for each in findings])
    try:
        compile_instrument(questionnaire, None)
    except ValueError as error:
        raise _refused(f"its answers cannot be checked: {error}", "item") from error


def _refused(text: str, name: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", f"Questionnaire.{name}")])
