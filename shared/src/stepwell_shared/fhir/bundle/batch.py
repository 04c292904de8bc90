"""A batch: every entry for itself, with its own outcome at its own place.

https://hl7.org/fhir/R4/http.html#brules
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import structlog

from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.bundle.answers import located, refusal_entry, response_bundle, response_entry
from stepwell_shared.fhir.bundle.dispatch import Verb, request_of, verb_of
from stepwell_shared.fhir.bundle.entries import FHIR_JSON, Entry
from stepwell_shared.fhir.bundle.links import Link, rewrite
from stepwell_shared.fhir.idempotency import Key, answered_once, digest_of, key_of
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.unit import UnitOfWork

AT_ONCE_MAX = 16

log = structlog.get_logger("stepwell.bundle")


async def batch(engine: Engine, request: Request, entries: Sequence[Entry | FhirError]) -> Response:
    """Answers 200 with an outcome for each entry; several run at once, so that their commits are gathered.

    Under an Idempotency-Key each writing entry has a key of its own: a batch that broke off and is sent again goes on
    where it stopped.
    """
    types = [entry.address.resource_type for entry in entries if isinstance(entry, Entry)]
    key = key_of(request, "batch", types)
    run = _Batch(engine, request, entries, key)
    if key is None:
        return await run.answer()
    return await answered_once(engine.store, request, key, engine.clock, lambda _: run.answer())


class _Batch:
    def __init__(self, engine: Engine, request: Request, entries: Sequence[Entry | FhirError], key: Key | None) -> None:
        self._engine = engine
        self._request = request
        self._entries = entries
        self._key = key
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)
        self._records: list[Effect] = []
        self._full_urls = {
            entry.full_url for entry in entries if isinstance(entry, Entry) and entry.full_url.startswith("urn:")
        }

    async def answer(self) -> Response:
        entries = await asyncio.gather(*(self._entry(entry) for entry in self._entries))
        await self._engine.store.commit(UnitOfWork(self._request.access.tenant, effects=self._records))
        return Response(200, response_bundle("batch-response", entries))

    async def _entry(self, entry: Entry | FhirError) -> bytes:
        if isinstance(entry, FhirError):
            return refusal_entry(self._engine.base_url, entry)
        interaction, request = "unknown", request_of(self._request, entry)
        try:
            verb, interaction = verb_of(self._engine, entry)
            _refuse_links(entry, self._full_urls)
            async with self._turns:
                response = await self._run(entry, request, verb, interaction)
            if entry.method == "HEAD":
                response = replace(response, body=b"")
            if not response.witnessed:
                self._records.append(request.witness(interaction, response.id or request.id, response.status))
            return response_entry(self._engine.base_url, request.resource_type, response)
        except FhirError as error:
            refusal = located(error, entry.at)
        except Exception:
            log.exception("an entry of a batch failed", interaction=interaction)
            refusal = FhirError(Category.FAULT, "the server failed; the request id finds the cause in its log")
        self._records.append(request.witness(interaction, request.id, refusal.status))
        return refusal_entry(self._engine.base_url, refusal)

    async def _run(self, entry: Entry, request: Request, verb: Verb, interaction: str) -> Response:
        if self._key is None or entry.method not in ("POST", "PATCH"):
            return await verb(self._engine, request)
        key = self._key.of_entry(entry.position, digest_of(request, interaction, [request.resource_type]))
        return await answered_once(self._engine.store, request, key, self._engine.clock, partial(verb, self._engine))


def _refuse_links(entry: Entry, full_urls: set[str]) -> None:
    """A batch links nothing: a placeholder of another entry would stay in the resource for ever."""
    found: list[Issue] = []

    def look(link: Link) -> None:
        if link.text in full_urls:
            text = "entries of a batch cannot refer to each other; send a transaction"
            found.append(Issue(text, "not-supported", link.at))

    if full_urls and isinstance(entry.resource, dict) and entry.content_type == FHIR_JSON:
        rewrite(entry.body, f"{entry.at}.resource", look)
    if found:
        raise FhirError(Category.INVALID, found)
