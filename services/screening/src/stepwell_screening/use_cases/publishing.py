"""A Questionnaire is written: drafts as their authors like, published versions checked once and then left as they are.

A published version takes its `url|version` for good, in the same commit, so that of two who publish at one moment, on
whichever replica, the second is told.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import asks_for_safety, compile_instrument, publications
from stepwell_screening.instruments.publications import Publication, publication_effect
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.publication import PUBLISHED, check_publication, check_revision
from stepwell_screening.use_cases.site import crisis_contacts

ACTIVE = "active"

Resource = dict[str, Any]


async def change_questionnaire(runtime: Runtime, write: Write) -> None:
    """Lets a site keep Questionnaires of its own. With the status `active` one is published.

    Raises FhirError BUSINESS_RULE with every finding for a form that cannot be published, for a change of a published
    version and for what belongs to the product; CONFLICT when its `url|version` is published already.
    """
    assert write.resource is not None, "Questionnaires are never deleted"
    assert write.stored.body is not None, "what is no deletion has a body"
    after: Resource = json.loads(write.stored.body, parse_float=Decimal)
    before = _parsed(write.previous.body) if write.previous else None
    await _refuse_ours(runtime, write, before, after)
    if before is not None and before.get("status") in PUBLISHED:
        refuse(check_revision(before, after))
    if after.get("status") != ACTIVE:
        return
    tenant, canonical = write.access.tenant, (after.get("url", ""), after.get("version", ""))
    taken = await published_as(runtime, tenant, *canonical)
    if taken is not None and taken.questionnaire_id == write.stored.id:
        return  # an old acquaintance, brought back or dated anew
    if taken is not None:
        raise already_published(taken)
    publishable(runtime, tenant, after, None)
    row = Publication(*canonical, write.stored.id, write.now, None, None, None, write.stored.version)
    write.unit.effects.append(publication_effect(row, write.access.fhir_user or write.access.client_id))


async def published_as(runtime: Runtime, tenant: str, url: str, version: str) -> Publication | None:
    """The publication that has taken `url|version` in this tenant."""
    rows = await publications(runtime).of_url(tenant, url)
    return next((row for row in rows if row.version == version), None)


def publishable(runtime: Runtime, tenant: str, form: Resource, scoring: Mapping[str, Any] | None) -> None:
    """Raises FhirError BUSINESS_RULE with every finding when a form cannot be published with its scoring."""
    watched = bool((scoring or {}).get("safetyItems")) or asks_for_safety(form)
    contacts = crisis_contacts(runtime, tenant) if watched else 0
    refuse(check_publication(form, safety_items=watched, crisis_contacts=contacts))
    try:
        compile_instrument(form, scoring)
    except ValueError as error:
        refuse([Finding("business-rule", f"This form cannot be used: {error}.", "Questionnaire")])


def already_published(taken: Publication) -> FhirError:
    text = f"Questionnaire/{taken.questionnaire_id} is published under this url and version; take another version."
    return FhirError(Category.CONFLICT, [Issue(text, "duplicate", "Questionnaire.version")])


def refuse(findings: Sequence[Finding]) -> None:
    """Raises FhirError BUSINESS_RULE when there are findings, with all of them."""
    if findings:
        raise FhirError(Category.BUSINESS_RULE, [Issue(each.text, each.code, each.expression) for each in findings])


async def _refuse_ours(runtime: Runtime, write: Write, before: Resource | None, after: Resource) -> None:
    """What ships has urls of the product, and so have forms that were brought with $import; nothing else has."""
    if before is not None and _is_ours(before):
        taken = await published_as(runtime, write.access.tenant, before["url"], before.get("version", ""))
        if taken is None or taken.questionnaire_id != write.stored.id:
            text = "This Questionnaire ships with the product and cannot be changed; publish one of your own."
            refuse([Finding("business-rule", text, "Questionnaire")])
    elif _is_ours(after):
        text = "This url belongs to the product: give the form one of your own, or bring it with $import."
        refuse([Finding("business-rule", text, "Questionnaire.url")])


def _is_ours(form: Resource) -> bool:
    return str(form.get("url", "")).startswith(f"{CANONICAL}/")


def _parsed(body: bytes | None) -> Resource | None:
    return json.loads(body, parse_float=Decimal) if body else None
