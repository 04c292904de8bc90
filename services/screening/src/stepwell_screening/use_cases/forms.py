"""A form's answers come in from its page: kept as they are given, and sent once, by the way that every response takes.

Each link has one response, whose id follows from it: however often a page is sent, there is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.canonical import derived_id, instant
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions import WRITE_ATTEMPTS_MAX, contended
from stepwell_shared.fhir.interactions.writing import write
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import Instrument
from stepwell_screening.use_cases.form_links import Link

TYPE = "QuestionnaireResponse"
CLIENT = "form-page"
GOES_ON, SENT = "in-progress", "completed"
SCOPES = Scopes.parse(f"system/{TYPE}.cru")

Resource = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What is kept for a link: `is_sent` once it cannot be changed here any more; `concerns` are the questions whose
    answers, or blanks once it is sent, a person must see soon."""

    items: Sequence[Resource] = ()
    is_sent: bool = False
    concerns: Sequence[str] = field(default_factory=tuple)


async def answers_of(runtime: Runtime, link: Link, instrument: Instrument) -> Answers:
    """What has been given so far."""
    kept = await runtime.store.read(link.tenant, TYPE, response_id(runtime, link))
    return _answers(runtime, instrument, _content(kept))


async def keep_answers(
    runtime: Runtime, link: Link, instrument: Instrument, items: Sequence[Resource], *, status: str, language: str
) -> Answers:
    """Keeps the answers, unless they were sent before: then nothing is changed and what was sent is given back.

    Raises FhirError like any write of a response.
    """
    id_ = response_id(runtime, link)
    for _ in range(WRITE_ATTEMPTS_MAX):
        previous = await runtime.store.read(link.tenant, TYPE, id_)
        before = _content(previous)
        if before is not None and (before["status"] != GOES_ON or _says_the_same(before, items, status)):
            return _answers(runtime, instrument, before)
        if before is None and not items and status == GOES_ON:
            return Answers()
        response = _response(runtime, link, items, status, language)
        try:
            await _write(runtime, link, previous, response)
        except WriteConflictError:
            continue  # the same page was sent twice at one moment: look at what the other one left
        return _answers(runtime, instrument, response)
    raise contended()


async def record_shown(runtime: Runtime, link: Link) -> None:
    """Puts on record that given answers were shown, before they are."""
    record = _record(runtime, _caller(link), "read", response_id(runtime, link), 200)
    await runtime.store.commit(UnitOfWork(link.tenant, effects=[record]))


def response_id(runtime: Runtime, link: Link) -> str:
    """The id of the response that a link leads to."""
    return derived_id(runtime.engine.base_url, link.tenant, "form-link", link.id)


def _says_the_same(before: Resource, items: Sequence[Resource], status: str) -> bool:
    return before["status"] == status and encode({"item": before.get("item", [])}) == encode({"item": list(items)})


def _response(runtime: Runtime, link: Link, items: Sequence[Resource], status: str, language: str) -> Resource:
    response = {
        "resourceType": TYPE,
        "id": response_id(runtime, link),
        "language": language,
        "questionnaire": link.questionnaire,
        "status": status,
        "subject": {"reference": link.subject},
        "authored": instant(runtime.clock()),
        "source": {"reference": link.subject},
    }
    return {**response, "item": list(items)} if items else response


async def _write(runtime: Runtime, link: Link, previous: Stored | None, response: Resource) -> None:
    """Writes it as the person's own access, which can do nothing else."""
    caller = _caller(link)
    body = encode(response)
    request = Request(
        access=caller,
        witness=partial(_record, runtime, caller),
        witness_of=lambda _type: partial(_record, runtime, caller),
        resource_type=TYPE,
        id=response["id"],
        body=body,
    )
    interaction = Interaction.CREATE if previous is None else Interaction.UPDATE
    served_type = runtime.engine.served(TYPE, interaction)
    resource = validation.check(body, TYPE)
    await write(runtime.engine, request, served_type, interaction, response["id"], previous, resource)


def _caller(link: Link) -> Caller:
    return Caller(link.tenant, CLIENT, SCOPES, link.id, fhir_user=link.subject, patient=link.subject.split("/")[1])


def _record(runtime: Runtime, caller: Caller, interaction: str, id_: str, status: int) -> Effect:
    return audit_effect(
        caller,
        recorded=runtime.clock(),
        interaction=interaction,
        resource_type=TYPE,
        resource_id=id_,
        request_id=runtime.new_id(),
        status=status,
    )


def _content(stored: Stored | None) -> Resource | None:
    return orjson.loads(stored.body) if stored is not None and stored.body else None


def _answers(runtime: Runtime, instrument: Instrument, response: Resource | None) -> Answers:
    if response is None:
        return Answers()
    findings = instrument.safety(response, runtime.clock())
    concerns = tuple(dict.fromkeys(finding.link_id for finding in findings if finding.is_about_self_harm))
    return Answers(response.get("item", []), response["status"] != GOES_ON, concerns)


def refused_places(error: FhirError, items: Sequence[Resource]) -> list[str]:
    """The linkIds of the questions that a refusal is about; raises it again when it is about none."""
    if error.category is not Category.BUSINESS_RULE:
        raise error
    found = [link_id for issue in error.issues if (link_id := _link_id_at(issue.expression or "", items))]
    if not found:
        raise error
    return list(dict.fromkeys(found))


def _link_id_at(expression: str, items: Sequence[Resource]) -> str | None:
    """The item that a FHIRPath such as QuestionnaireResponse.item[1].answer[0].value stands in."""
    node: Any = {"item": items}
    link_id = None
    for part in expression.split(".")[1:]:
        name, _, index = part.partition("[")
        number = index.removesuffix("]")
        if name not in {"item", "answer"} or not number.isdecimal() or int(number) >= len(node.get(name, ())):
            break
        node = node[name][int(number)]
        link_id = node.get("linkId", link_id)
    return link_id
