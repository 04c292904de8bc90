"""One attempt at a transaction: resolve, link, build, answer, commit. A conflict leaves nothing behind.

The order of the entries does not matter: identities are resolved first, then links, and every hook sees all that the
transaction is about to store. https://hl7.org/fhir/R4/http.html#trules
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from stepwell_shared.fhir.bundle.answers import located, response_bundle, response_entry
from stepwell_shared.fhir.bundle.criteria import Pending, pending_matches
from stepwell_shared.fhir.bundle.dispatch import operation_of, request_of, verb_of
from stepwell_shared.fhir.bundle.entries import Entry
from stepwell_shared.fhir.bundle.linking import Linking
from stepwell_shared.fhir.bundle.reading import Reading
from stepwell_shared.fhir.bundle.targets import Target, check_target, refuse_other_content, target_of
from stepwell_shared.fhir.interactions import Engine, change_of, complete, next_version
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue, outcome_bytes
from stepwell_shared.fhir.patch import patched
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import UnitOfWork

_ORDER = ("DELETE", "POST", "PUT", "PATCH")
Found = TypeVar("Found")


class Attempt:
    """What one attempt knows; `run` may be called once."""

    def __init__(self, engine: Engine, request: Request, entries: Sequence[Entry]) -> None:
        self._live = engine
        self._request = request
        self._entries = entries
        self._unit = UnitOfWork(request.access.tenant)
        self._pending = Pending()
        self._targets: dict[int, Target] = {}
        self._answers: dict[int, Response] = {}
        self._now = now = engine.clock()
        # Every look of this attempt at the same resource finds the same, whatever others commit meanwhile.
        self._reading = Reading(engine.store)
        self._engine = replace(engine, store=self._reading, clock=lambda: now)

    async def run(self) -> Response:
        """The answer of the whole Bundle. Raises FhirError or WriteConflictError; then nothing is changed."""
        self._refuse_unsupported()
        await self._resolve()
        self._refuse_same_identity()
        self._patch()
        await self._link()
        await self._refuse_ambiguity()
        await together((target.entry, check_target(self._engine, target)) for target in self._in_order())
        self._reading.show({identity: change.stored for identity, change in self._pending.changes.items()})
        await self._write()
        await self._read()
        return await self._commit()

    def _refuse_unsupported(self) -> None:
        """Addresses that no interaction answers; operations that change something would commit on their own."""
        for entry in self._entries:
            if entry.is_writing:
                continue
            try:
                verb_of(self._engine, entry)
                operation = operation_of(self._engine, entry) if entry.is_operation else None
            except FhirError as error:
                raise located(error, f"{entry.at}.request.url") from None
            if operation is not None and operation.affects_state:
                text = "operations that change something are not taken in a transaction; send a batch"
                raise FhirError(Category.INVALID, [Issue(text, "not-supported", f"{entry.at}.request.url")])

    async def _resolve(self) -> None:
        """Deletions first: criteria of the others must not find what will be gone."""
        for methods in (_ORDER[:1], _ORDER[1:]):
            entries = [entry for entry in self._entries if entry.is_writing and entry.method in methods]
            deleted = self._pending.deleted
            found = await together(
                (entry, target_of(self._engine, entry, request_of(self._request, entry), deleted)) for entry in entries
            )
            for entry, target in zip(entries, found, strict=True):
                self._targets[entry.position] = target
                if entry.method == "DELETE" and target.id:
                    self._pending.deleted.add(target.identity)

    def _refuse_same_identity(self) -> None:
        first: dict[tuple[str, str], str] = {}
        issues = []
        for _, target in sorted(self._targets.items()):
            at = first.setdefault(target.identity, target.entry.at) if target.id else target.entry.at
            if at != target.entry.at:
                text = f"this is the same {target.served_type.name} as in {at}: a transaction has each identity once"
                issues.append(Issue(text, "invalid", target.entry.at))
        if issues:
            raise FhirError(Category.INVALID, issues)

    def _patch(self) -> None:
        """From here on a patch is an update to the patched body."""
        for target in self._targets.values():
            if target.entry.method != "PATCH":
                continue
            if target.previous is None or target.previous.body is None:
                text = f"there is no {target.served_type.name} with this id"
                raise FhirError(Category.NOT_FOUND, [Issue(text, "not-found", target.entry.at)])
            try:
                target.body, target.resource = patched(
                    target.previous.body, target.entry.body, target.entry.content_type
                )
            except FhirError as error:
                raise located(error, target.entry.at) from None

    async def _link(self) -> None:
        linking = Linking(self._engine, self._request, self._entries, self._targets)
        linking.link_entries()
        references = linking.conditional()
        self._build()
        if references:
            await linking.link_criteria(references, self._pending)
            self._build()
        linking.check()

    def _build(self) -> None:
        """The versions that will be, for criteria and for hooks."""
        for target in self._in_order():
            stored = next_version(
                target.served_type,
                target.interaction,
                target.id,
                target.previous,
                target.resource,
                target.body,
                self._now,
            )
            self._pending.changes[target.identity] = change_of(self._engine, stored, target.resource)

    def _in_order(self) -> list[Target]:
        """What is to be written, in an order that does not depend on that of the entries more than it must."""
        writing = [each for each in self._targets.values() if each.id and not each.found and not _is_gone(each)]
        return sorted(
            writing, key=lambda each: (_ORDER.index(each.entry.method), each.identity[0], each.entry.position)
        )

    async def _refuse_ambiguity(self) -> None:
        """Criteria must not match what another entry stores: the outcome would depend on which one is first."""
        for target in self._targets.values():
            if target.criteria is None or target.entry.method == "DELETE":
                continue
            matches = await pending_matches(self._engine, self._request, target.criteria, self._pending)
            if set(matches) - {target.id}:
                text = "these criteria match what another entry stores; link the entries by fullUrl instead"
                raise FhirError(Category.INVALID, [Issue(text, "invalid", target.entry.at)])

    async def _write(self) -> None:
        """Answers each writing entry and lets the hooks add to the unit of work."""
        tenant = self._request.access.tenant
        for position, target in self._targets.items():
            if target.found:
                self._answers[position] = self._kept(target, self._in_place(target))
            elif not target.id or _is_gone(target):
                self._answers[position] = self._kept(target, Response(204, id=target.id))
        for target in self._in_order():
            change = self._pending.changes[target.identity]
            self._unit.changes.append(change)
            write = Write(
                self._request.access,
                target.interaction,
                target.resource,
                target.previous,
                change.stored,
                self._unit,
                self._now,
                partial(self._reading.read, tenant),
            )
            work = complete(self._engine, target.request, target.served_type, write, asked=target.asked)
            self._answers[target.entry.position] = await at_entry(target.entry, work)
        self._refuse_double_change()

    def _in_place(self, target: Target) -> Response:
        """The answer of a conditional create that found something."""
        assert target.previous is not None, "a match is stored"
        refuse_other_content(target)
        return written(self._engine.base_url, target.request, target.served_type, target.previous, created=False)

    def _kept(self, target: Target, answer: Response) -> Response:
        """The access goes on record with the transaction although nothing is changed."""
        self._unit.effects += target.request.records(target.asked, answer)
        return answer

    def _refuse_double_change(self) -> None:
        """Two entries may lead to changes of one resource that neither names."""
        seen: set[tuple[str, str]] = set()
        for change in self._unit.changes:
            identity = change.stored.resource_type, change.stored.id
            if identity in seen:
                text = f"two entries change the same {identity[0]}; send them one after the other"
                raise FhirError(Category.CONFLICT, [Issue(text, "conflict", "Bundle.entry")])
            seen.add(identity)

    async def _read(self) -> None:
        """Answers what reads as things stand once the unit is committed; searches and operations are tried out here."""
        reads = [entry for entry in self._entries if not entry.is_writing]
        answers = await together((entry, self._answer(self._engine, entry)) for entry in reads)
        for entry, answer in zip(reads, answers, strict=True):
            self._answers[entry.position] = answer
            request = request_of(self._request, entry)
            interaction = verb_of(self._engine, entry)[1]
            self._unit.effects.append(request.witness(interaction, answer.id or request.id, answer.status))

    async def _answer(self, engine: Engine, entry: Entry) -> Response:
        verb, _ = verb_of(engine, entry)
        answer = await verb(engine, request_of(self._request, entry))
        return replace(answer, body=b"") if entry.method == "HEAD" else answer

    async def _commit(self) -> Response:
        """Commits, and then looks once more where an answer shows what others search for, too."""
        response = self._response()
        self._unit.effects += self._request.records("transaction", response)
        await self._live.store.commit(self._unit)
        late = [entry for entry in self._entries if entry.is_late] if self._unit.changes else []
        if not late:
            return response
        for entry in late:
            try:
                self._answers[entry.position] = await self._answer(self._live, entry)
            except FhirError as error:
                # The transaction stands: what cannot be looked up now must not make it seem to have failed.
                self._answers[entry.position] = Response(error.status, outcome_bytes(error.issues))
        return self._response()

    def _response(self) -> Response:
        base_url = self._engine.base_url
        entries = [
            response_entry(base_url, entry.address.resource_type, self._answers[entry.position])
            for entry in self._entries
        ]
        return Response(200, response_bundle("transaction-response", entries), witnessed=True)


def _is_gone(target: Target) -> bool:
    """Whether there is nothing to delete."""
    return target.entry.method == "DELETE" and (target.previous is None or target.previous.body is None)


async def at_entry(entry: Entry, work: Coroutine[Any, Any, Found]) -> Found:
    """The outcome of work for one entry; a refusal tells which entry it is."""
    try:
        return await work
    except FhirError as error:
        raise located(error, entry.at) from None


async def together(work: Iterable[tuple[Entry, Coroutine[Any, Any, Found]]]) -> list[Found]:
    """The outcomes of work that needs no order; of several refusals, that of the first entry."""
    found = await asyncio.gather(*(at_entry(entry, each) for entry, each in work), return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return [each for each in found if not isinstance(each, BaseException)]
