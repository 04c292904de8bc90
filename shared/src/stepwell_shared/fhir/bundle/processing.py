"""POST [base]: what a Bundle asks for, done entry by entry (batch) or all at once (transaction).

https://hl7.org/fhir/R4/http.html#transaction
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from stepwell_shared.fhir import validation
from stepwell_shared.fhir.bundle.batch import batch
from stepwell_shared.fhir.bundle.entries import Entry, entry_of, texts_of
from stepwell_shared.fhir.bundle.transaction import transaction
from stepwell_shared.fhir.idempotency import answered_once, key_of
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.validation.json_text import read

TYPES = ("batch", "transaction")
# Stands for whatever an entry of a batch holds while the Bundle around it is looked at.
_ANY = {"resourceType": "Parameters"}


async def process(engine: Engine, request: Request) -> Response:
    """Answers a batch or a transaction; raises FhirError for a Bundle that is neither, or not one at all."""
    bundle, _ = read(request.body)
    kind = bundle.get("type")
    if bundle.get("resourceType") != "Bundle" or kind not in TYPES:
        text = "this address takes a Bundle of type batch or transaction"
        raise FhirError(Category.INVALID, [Issue(text, "value", "Bundle.type")])
    _limit(engine, bundle)
    if kind == "batch":
        return await batch(engine, request, _batch_entries(engine, request, bundle))
    return await _transaction(engine, request, bundle)


def _limit(engine: Engine, bundle: dict[str, Any]) -> None:
    entries = bundle.get("entry")
    if isinstance(entries, list) and len(entries) > engine.bundle_entries_max:
        text = (
            f"a Bundle has at most {engine.bundle_entries_max} entries here, this one has {len(entries)}: send several"
        )
        raise FhirError(Category.TOO_LARGE, [Issue(text, "too-long", "Bundle.entry")])


async def _transaction(engine: Engine, request: Request, bundle: dict[str, Any]) -> Response:
    validation.check(request.body, "Bundle", conditional_references=True)
    entries: list[Entry] = []
    issues: list[Issue] = []
    for position, text in enumerate(texts_of(request.body)):
        try:
            entries.append(entry_of(position, bundle["entry"][position], text, engine.base_url))
        except FhirError as error:
            issues += error.issues
    if issues:
        raise FhirError(Category.INVALID, issues)
    key = key_of(request, "transaction", [entry.address.resource_type for entry in entries])
    if key is None:
        return await transaction(engine, entries, request)
    _refuse_late_reads(entries)
    return await answered_once(engine.store, request, key, engine.clock, partial(transaction, engine, entries))


def _refuse_late_reads(entries: Sequence[Entry]) -> None:
    """An answer that is committed with its effect cannot hold what is searched after the commit."""
    late = [entry for entry in entries if entry.is_late]
    if late and any(entry.is_writing for entry in entries):
        text = "a transaction with an Idempotency-Key that writes cannot also search: search in another request"
        raise FhirError(Category.INVALID, [Issue(text, "not-supported", f"{entry.at}.request") for entry in late])


def _batch_entries(engine: Engine, request: Request, bundle: dict[str, Any]) -> list[Entry | FhirError]:
    """The entries, or why one is none. The Bundle around them must be valid; what is in them is each one's own."""
    around = dict(bundle)
    entries = bundle.get("entry")
    if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
        around["entry"] = [{**entry, "resource": _ANY} if "resource" in entry else entry for entry in entries]
    issues = validation.validate(around, "Bundle")
    if issues:
        raise FhirError(Category.INVALID, issues)
    found: list[Entry | FhirError] = []
    for position, text in enumerate(texts_of(request.body)):
        try:
            found.append(entry_of(position, bundle["entry"][position], text, engine.base_url))
        except FhirError as error:
            found.append(error)
    return found
