"""A site brings the wording of an instrument: checked against the skeleton, attested, published with our scoring."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import CANONICAL, derived_id, instant
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Change, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import scoring_of, skeletons
from stepwell_screening.instruments.publications import Publication, publication_effect
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.publication import check_revision
from stepwell_screening.rules.skeletons import Skeleton, check_against
from stepwell_screening.use_cases.publishing import already_published, publishable, published_as, refuse

ATTEMPTS_MAX = 8
WORDS_CHARACTERS_MAX = 500
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
TEXTS = {"instrument": "valueCode", "attestedBy": "valueString", "licence": "valueString"}

Resource = dict[str, Any]


@dataclass(frozen=True)
class _Wish:
    """What a site brings: the form, for which instrument, and who says by what right."""

    skeleton: Skeleton
    form: Resource
    attested_by: str | None
    licence: str | None


async def import_instrument(runtime: Runtime, request: Request) -> Response:
    """`Questionnaire/$import` with `instrument`, `questionnaire`, `attestedBy` and `licence`: the published form.

    Sent again it answers with what was published. Raises FhirError: INVALID for other parameters, BUSINESS_RULE with
    the place of every difference from the skeleton, or without an attestation where the licence asks for one; CONFLICT
    when the form's `url|version` is published with another content.
    """
    if request.access.filters("Questionnaire", Interaction.CREATE):
        raise FhirError(Category.FORBIDDEN, "this token may create some Questionnaires only; $import needs all of them")
    wish = _wish(request.body)
    _refuse_unattested(wish)
    form = _completed(wish)
    refuse([*_check_url(wish.skeleton, form), *check_against(wish.skeleton, form)])
    tenant = request.access.tenant
    publishable(runtime, tenant, form, scoring_of(wish.skeleton.id))
    form["id"] = derived_id(runtime.engine.base_url, tenant, "import", form["url"], form["version"])
    served_type = runtime.engine.served("Questionnaire", Interaction.READ)
    for _ in range(ATTEMPTS_MAX):
        taken = await published_as(runtime, tenant, form["url"], form["version"])
        if taken is not None:
            return await _answer_again(runtime, request, wish, form, taken)
        unit, change = _imported(runtime, request, wish, form, runtime.clock())
        answer = written(runtime.engine.base_url, request, served_type, change.stored, created=True)
        unit.effects += request.records("$import", answer)
        try:
            await runtime.store.commit(unit)
        except WriteConflictError:
            continue
        return answer
    raise FhirError(Category.CONFLICT, "this form is being published by too many at once; try again")


def _wish(body: bytes) -> _Wish:
    """The parameters of a request whose body is structurally valid."""
    parameters = json.loads(body or b"{}", parse_float=Decimal).get("parameter", [])
    given = {each["name"]: each for each in parameters}
    known = {*TEXTS, "questionnaire"}
    if len(given) != len(parameters) or not given.keys() <= known:
        text = f"the parameters are {', '.join(sorted(known))}, each at most once"
        raise FhirError(Category.INVALID, [Issue(text, "invalid", "Parameters.parameter")])
    texts = {name: _text(given[name], name, key) for name, key in TEXTS.items() if name in given}
    form = given.get("questionnaire", {}).get("resource", {})
    if form.get("resourceType") != "Questionnaire":
        raise _missing("questionnaire", "the form, as a resource")
    skeleton = skeletons().get(texts.get("instrument", ""))
    if skeleton is None:
        raise _missing("instrument", f"one of {', '.join(skeletons())}")
    return _Wish(skeleton, form, texts.get("attestedBy"), texts.get("licence"))


def _text(parameter: Resource, name: str, key: str) -> str:
    text = str(parameter.get(key, "")).strip()
    if not text or len(text) > WORDS_CHARACTERS_MAX:
        raise _missing(name, f"a {key} of at most {WORDS_CHARACTERS_MAX} characters")
    return text


def _missing(name: str, what: str) -> FhirError:
    place = f"Parameters.parameter.where(name = '{name}')"
    return FhirError(Category.INVALID, [Issue(f"the parameter {name} is {what}", "required", place)])


def _refuse_unattested(wish: _Wish) -> None:
    if not wish.skeleton.needs_attestation:
        return
    words = {"attestedBy": "who says that the site may use it", "licence": "under which licence or permission"}
    given = {"attestedBy": wish.attested_by, "licence": wish.licence}
    refuse(
        [
            Finding(
                "required",
                f"The wording of {wish.skeleton.name} is not free ({wish.skeleton.notice}): name {words[name]}.",
                f"Parameters.parameter.where(name = '{name}')",
            )
            for name, value in given.items()
            if value is None
        ]
    )


def _completed(wish: _Wish) -> Resource:
    """The form as it is published: with the instrument's url, code and notice where it has none of its own."""
    skeleton = wish.skeleton
    form = {name: value for name, value in wish.form.items() if name not in {"id", "meta"}} | {"status": "active"}
    if skeleton.needs_attestation:
        form.setdefault("url", skeleton.url)
    form.setdefault("copyright", skeleton.notice)
    system, code = skeleton.code
    codes = form.get("code", [])
    if not any((each.get("system"), each.get("code")) == skeleton.code for each in codes):
        form["code"] = [*codes, {"system": system, "code": code}]
    return form


def _check_url(skeleton: Skeleton, form: Resource) -> list[Finding]:
    url = form.get("url", "")
    own = url == skeleton.url and skeleton.needs_attestation
    if not url.startswith(f"{CANONICAL}/") or own:
        return []
    text = "This url belongs to the product: give the form one of your own."
    return [Finding("business-rule", text, "Questionnaire.url")]


async def _answer_again(
    runtime: Runtime, request: Request, wish: _Wish, form: Resource, taken: Publication
) -> Response:
    stored = await runtime.store.read(request.access.tenant, "Questionnaire", taken.questionnaire_id)
    if stored is None or stored.body is None or taken.instrument != wish.skeleton.id:
        raise already_published(taken)
    if check_revision(json.loads(stored.body, parse_float=Decimal), form):
        raise already_published(taken)
    served_type = runtime.engine.served("Questionnaire", Interaction.READ)
    return written(runtime.engine.base_url, request, served_type, stored, created=False, witnessed=False)


def _imported(
    runtime: Runtime, request: Request, wish: _Wish, form: Resource, now: datetime
) -> tuple[UnitOfWork, Change]:
    """The Questionnaire, the url and version that it takes, and who attested what, in one unit of work."""
    engine, access = runtime.engine, request.access
    change = built(engine, form, now)
    row = Publication(
        form["url"], form["version"], form["id"], now, wish.skeleton.id, wish.attested_by, wish.licence, 1
    )
    provenance = _provenance(
        derived_id(engine.base_url, access.tenant, "attestation", form["id"]), wish, form, access.fhir_user, now
    )
    effects = [publication_effect(row, access.fhir_user or access.client_id)]
    return UnitOfWork(access.tenant, [change, built(engine, provenance, now)], effects), change


def _provenance(id_: str, wish: _Wish, form: Resource, entered_by: str | None, now: datetime) -> Resource:
    """Who attested the right to use a form's wording, when, and under which licence."""
    who = {"reference": entered_by} if entered_by else {"type": "Device", "display": "Stepwell screening"}
    agents = [_agent("enterer", who)]
    if wish.attested_by is not None:
        agents.insert(0, _agent("attester", {"display": wish.attested_by}))
    skeleton = f"{wish.skeleton.url}|{wish.skeleton.version}"
    return {
        "resourceType": "Provenance",
        "id": id_,
        "target": [{"reference": f"Questionnaire/{form['id']}/_history/1"}],
        "recorded": instant(now),
        **({"reason": [{"text": f"Licence: {wish.licence}"}]} if wish.licence is not None else {}),
        "agent": agents,
        "entity": [
            {"role": "source", "what": {"identifier": {"system": "urn:ietf:rfc:3986", "value": skeleton}}},
        ],
    }


def _agent(code: str, who: Resource) -> Resource:
    return {"type": {"coding": [{"system": PARTICIPANT, "code": code}]}, "who": who}
