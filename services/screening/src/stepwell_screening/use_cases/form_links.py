"""One-time links: who holds one may fill in one form for one person, without an account, until it is sent or expires.

The link says nothing of the person. It is signed over everything that it is bound to, so that neither a guess nor a
changed row opens anything, and it is not kept: the database knows its id only. Answering the form is what spends it.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any, NamedTuple

import orjson
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import TENANT_PATTERN
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions import visible
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime
from stepwell_shared.signing import opened, signed

from stepwell_screening.instruments import Instrument, find_instrument
from stepwell_screening.rules.form_fields import form_of
from stepwell_screening.use_cases.site import crisis_contacts

PURPOSE = "form link"
LIVES = timedelta(days=14)
LIVES_MAX = timedelta(days=90)
ATTEMPTS_MAX = 5
_PARAMETERS = {"subject": "valueReference", "task": "valueReference", "expires": "valueInstant"}
_COLUMNS = "tenant, id, questionnaire_id, questionnaire, subject, task, author, attempts, created_at, expires_at"


class Link(NamedTuple):
    """One link as it is kept; in the order of its table's columns."""

    tenant: str
    id: str
    questionnaire_id: str
    questionnaire: str
    subject: str
    task: str
    author: str
    attempts: int
    created_at: datetime
    expires_at: datetime

    def is_expired(self, now: datetime) -> bool:
        return now >= self.expires_at


@dataclass(frozen=True)
class MadeLink:
    """A new link: `url` is what the person gets, `effect` the row that must be committed for it to open anything."""

    url: str
    expires_at: datetime
    effect: Effect


async def form_link(runtime: Runtime, request: Request) -> Response:
    """`Questionnaire/[id]/$form-link`: Parameters with subject, and optionally task and expires; gives back the link.

    Raises FhirError: 403 without the right to create responses and to read the person, 404 for a person whom the
    caller cannot see, 422 for a form that cannot be filled in here.
    """
    request.access.require("QuestionnaireResponse", Interaction.CREATE)
    given = _given(request.body)
    subject = _local(runtime, given.get("subject"), "Patient", "subject")
    task = _local(runtime, given["task"], "Task", "task") if "task" in given else ""
    await _see(runtime, request, subject)
    if task:
        await _see(runtime, request, task)
    now = runtime.clock()
    expires_at = _expiry(given.get("expires"), now)
    made = await make_link(runtime, request.access.tenant, request.id, subject, task=task, now=now, until=expires_at)
    parameters = [
        {"name": "link", "valueUrl": made.url},
        {"name": "expires", "valueInstant": made.expires_at.isoformat(timespec="seconds")},
    ]
    body = encode({"resourceType": "Parameters", "parameter": parameters})
    response = Response(200, body, {"Cache-Control": "no-store"}, request.id, witnessed=True)
    unit = UnitOfWork(request.access.tenant, effects=[made.effect, *request.records("$form-link", response)])
    await runtime.store.commit(unit)
    return response


async def make_link(
    runtime: Runtime,
    tenant: str,
    questionnaire_id: str,
    subject: str,
    *,
    now: datetime,
    until: datetime | None = None,
    task: str = "",
) -> MadeLink:
    """A link to a form for a person (`Patient/x`), and its row, to be committed with whatever asks for it.

    Raises FhirError BUSINESS_RULE for a form that cannot be filled in here.
    """
    instrument = await _fillable(runtime, tenant, questionnaire_id)
    expires_at = until or now + LIVES
    id_ = token_hex(16)
    link = Link(tenant, id_, questionnaire_id, instrument.canonical, subject, task, "", 0, now, expires_at)
    url = f"{forms_url(runtime)}/open/{_token(runtime, link)}"
    return MadeLink(url, expires_at, Effect("form_link", tuple(link[1:])))


def forms_url(runtime: Runtime) -> str:
    """The public address below which forms are."""
    return runtime.engine.base_url.removesuffix("/fhir") + "/forms"


async def link_of(runtime: Runtime, token: str) -> Link | None:
    """The link that a token opens; None for what is no link of ours, or one whose row says something else."""
    tenant, _, rest = token.partition(".")
    id_ = rest.partition(".")[0]
    link = await find_link(runtime, tenant, id_)
    if link is None or opened(runtime, f"{PURPOSE}\n{_bound_to(link)}", token) is None:
        return None
    return link


async def find_link(runtime: Runtime, tenant: str, id_: str) -> Link | None:
    """The link with this id."""
    if not TENANT_PATTERN.fullmatch(tenant) or not id_.isalnum():
        return None
    async with runtime.database.transaction(tenant) as connection:
        row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM form_link WHERE tenant = $1 AND id = $2", tenant, id_)
    return None if row is None else Link(*row)


async def claim(runtime: Runtime, link: Link, author: str) -> str:
    """Who gives the first answers is their author; returns who that is."""
    statement = """UPDATE form_link SET author = CASE WHEN author = '' THEN $3 ELSE author END
        WHERE tenant = $1 AND id = $2 RETURNING author"""
    async with runtime.database.transaction(link.tenant) as connection:
        found: str = await connection.fetchval(statement, link.tenant, link.id, author)
    return found


async def count_attempt(runtime: Runtime, link: Link) -> bool:
    """Takes one of the tries to prove who comes back, before it is looked at; False when none are left."""
    statement = """UPDATE form_link SET attempts = attempts + 1
        WHERE tenant = $1 AND id = $2 AND attempts < $3 RETURNING attempts"""
    async with runtime.database.transaction(link.tenant) as connection:
        return await connection.fetchval(statement, link.tenant, link.id, ATTEMPTS_MAX) is not None


async def forget_attempts(runtime: Runtime, link: Link) -> None:
    """Somebody has proved who they are: the next time they have all tries again."""
    async with runtime.database.transaction(link.tenant) as connection:
        await connection.execute(
            "UPDATE form_link SET attempts = 0 WHERE tenant = $1 AND id = $2", link.tenant, link.id
        )


def _token(runtime: Runtime, link: Link) -> str:
    return signed(runtime, f"{PURPOSE}\n{_bound_to(link)}", link.tenant, link.id)


def _bound_to(link: Link) -> str:
    """Everything that a link stands for, in one text."""
    parts = (link.questionnaire_id, link.questionnaire, link.subject, link.task, str(int(link.expires_at.timestamp())))
    return "\n".join(parts)


async def _fillable(runtime: Runtime, tenant: str, questionnaire_id: str) -> Instrument:
    """The instrument of a Questionnaire that people can be asked to fill in."""
    stored = await runtime.store.read(tenant, "Questionnaire", questionnaire_id)
    questionnaire: dict[str, Any] = orjson.loads(stored.body) if stored is not None and stored.body else {}
    canonical = f"{questionnaire.get('url', '')}|{questionnaire.get('version', '')}"
    instrument = await find_instrument(runtime, tenant, canonical)
    if instrument is None or questionnaire.get("status") != "active":
        raise _refusal("only an active, published Questionnaire can be filled in", "Questionnaire.status")
    try:
        form_of(questionnaire)
    except ValueError as error:
        raise _refusal(str(error), "Questionnaire.item") from error
    if instrument.safety.asks_about_self_harm and not crisis_contacts(runtime, tenant):
        text = "this form asks about safety, and the site has no crisis contacts yet: set STEPWELL_SITE_FILE"
        raise _refusal(text, "Questionnaire.item")
    return instrument


async def _see(runtime: Runtime, request: Request, reference: str) -> None:
    """Raises FhirError unless the caller may read what the link is bound to."""
    resource_type, _, id_ = reference.partition("/")
    request.access.require(resource_type, Interaction.READ)
    asked = replace(request, resource_type=resource_type, id=id_)
    stored = await runtime.store.read(request.access.tenant, resource_type, id_)
    await visible(runtime.engine, asked, runtime.engine.registry.types[resource_type], stored)


def _given(body: bytes) -> dict[str, Any]:
    """The values of the Parameters by name."""
    parameters = orjson.loads(body).get("parameter", []) if body else []
    found: dict[str, Any] = {}
    for place, parameter in enumerate(parameters):
        name = parameter.get("name")
        kind = _PARAMETERS.get(name)
        if kind is None or kind not in parameter or name in found:
            names = ", ".join(f"{each} ({kind})" for each, kind in _PARAMETERS.items())
            raise FhirError(
                Category.INVALID, [Issue(f"takes each of {names} once", "invalid", f"Parameters.parameter[{place}]")]
            )
        found[name] = parameter[kind]
    return found


def _local(runtime: Runtime, reference: Any, resource_type: str, name: str) -> str:
    """A reference to a resource of this service, as `Type/id`."""
    address = runtime.engine.localise(reference.get("reference", "")) if isinstance(reference, dict) else ""
    if address.partition("/")[0] != resource_type or address.count("/") != 1:
        text = f"give the {resource_type} that this service has, as a reference {resource_type}/id"
        raise FhirError(Category.INVALID, [Issue(text, "required", f"Parameters.parameter.where(name = '{name}')")])
    return address


def _expiry(given: str | None, now: datetime) -> datetime:
    if given is None:
        return now + LIVES
    expires_at = datetime.fromisoformat(given)
    if not now < expires_at.astimezone(UTC) <= now + LIVES_MAX:
        place = "Parameters.parameter.where(name = 'expires')"
        raise FhirError(
            Category.BUSINESS_RULE,
            [Issue(f"a link lives for at most {LIVES_MAX.days} days from now", "business-rule", place)],
        )
    return expires_at


def _refusal(text: str, expression: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", expression)])
