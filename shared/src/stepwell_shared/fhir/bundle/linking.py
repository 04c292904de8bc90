"""Links between the entries of a transaction, and conditional references, become references to what is stored.

https://hl7.org/fhir/R4/http.html#trules
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence

import orjson

from stepwell_shared.fhir import validation
from stepwell_shared.fhir.bundle.answers import located
from stepwell_shared.fhir.bundle.criteria import Criteria, Pending, criteria_of, pending_matches, stored_matches
from stepwell_shared.fhir.bundle.entries import Entry
from stepwell_shared.fhir.bundle.links import Link, rewrite
from stepwell_shared.fhir.bundle.targets import Target
from stepwell_shared.fhir.definitions import resource_types
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue

_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.+)", re.DOTALL)
_PLACEHOLDER = re.compile(r"urn:(?:uuid|oid):[^#]*")
_RESTFUL = re.compile(r"(https?://.+/)([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})")
_VERSIONED = re.compile(r"(.+)/_history/[A-Za-z0-9\-.]{1,64}", re.DOTALL)
# R4 has links in these replaced too, by what is none of their values: the one rule that they then break is let go.
_IDENTIFIERS = frozenset({"oid", "uuid"})
# Looks that one transaction may cost the database.
CRITERIA_MAX = 100


class Linking:
    """The links of one attempt: full URLs to identities, and criteria to what they find."""

    def __init__(
        self, engine: Engine, request: Request, entries: Sequence[Entry], targets: Mapping[int, Target]
    ) -> None:
        self._engine = engine
        self._request = request
        self._targets = [target for target in targets.values() if target.resource is not None]
        self._identifiers: set[str] = set()
        self._urls = {
            entry.full_url: targets[entry.position]
            for entry in entries
            if entry.full_url and entry.position in targets and targets[entry.position].id
        }

    def link_entries(self) -> None:
        """Replaces what names another entry of the Bundle. Raises FhirError INVALID for a placeholder of none."""
        issues: list[Issue] = []
        for target in self._targets:
            base = _RESTFUL.fullmatch(target.entry.full_url)

            def replace(link: Link, base_url: str = base[1] if base else "") -> str | None:
                found = self._found(link.text, base_url)
                if found is None and link.is_reference and _PLACEHOLDER.fullmatch(link.text):
                    issues.append(Issue("no entry of the Bundle has this fullUrl", "not-found", link.at))
                if found is not None and link.kind in _IDENTIFIERS:
                    self._identifiers.add(link.at)
                return found

            self._rewrite(target, replace)
        if issues:
            raise FhirError(Category.INVALID, issues)

    def _found(self, text: str, base_url: str) -> str | None:
        """The local address of the entry that a link names; a link to a version names the version that will be."""
        versioned = _VERSIONED.fullmatch(text)
        plain = versioned[1] if versioned else text
        target = self._urls.get(plain) or (self._urls.get(base_url + plain) if base_url else None)
        if target is None:
            return None
        address = f"{target.served_type.name}/{target.id}"
        return f"{address}/_history/{target.version}" if versioned else address

    def _rewrite(self, target: Target, replace: Callable[[Link], str | None]) -> None:
        if target.found and not target.is_own:
            return
        body = rewrite(target.body, f"{target.entry.at}.resource", replace)
        if body is not target.body:
            target.body, target.resource = body, orjson.loads(body)

    def conditional(self) -> dict[str, str]:
        """The conditional references, each once, with the first place of each."""
        found: dict[str, str] = {}

        def look(link: Link) -> None:
            if link.is_reference and _CONDITIONAL.fullmatch(link.text):
                found.setdefault(link.text, link.at)

        for target in self._targets:
            self._rewrite(target, look)
        if len(found) > CRITERIA_MAX:
            text = f"a transaction has at most {CRITERIA_MAX} different conditional references"
            raise FhirError(Category.INVALID, [Issue(text, "too-costly", "Bundle.entry")])
        return found

    async def link_criteria(self, references: Mapping[str, str], pending: Pending) -> None:
        """Replaces conditional references by the one resource that each finds. Raises FhirError."""
        found = await asyncio.gather(*(self._one(text, at, pending) for text, at in references.items()))
        addresses = dict(zip(references, found, strict=True))
        for target in self._targets:
            self._rewrite(target, lambda link: addresses.get(link.text) if link.is_reference else None)

    async def _one(self, text: str, at: str, pending: Pending) -> str:
        """The address of the only match, among what is stored and what is about to be."""
        matched = _CONDITIONAL.fullmatch(text)
        assert matched is not None, "only conditional references are looked for"
        resource_type, query = matched.groups()
        if resource_type not in resource_types():
            raise FhirError(Category.INVALID, [Issue("this is no resource type", "value", at)])
        try:
            criteria = criteria_of(self._engine, self._request, resource_type, query, at)
            ids = await self._matches(criteria, pending)
        except FhirError as error:
            raise located(error, at) from None
        if len(ids) > 1:
            issue = Issue("more than one resource matches", "multiple-matches", at)
            raise FhirError(Category.MULTIPLE_MATCHES, [issue])
        if not ids:
            raise FhirError(Category.PRECONDITION_FAILED, [Issue("no resource matches", "not-found", at)])
        return f"{resource_type}/{ids.pop()}"

    async def _matches(self, criteria: Criteria, pending: Pending) -> set[str]:
        new = await pending_matches(self._engine, self._request, criteria, pending)
        touched = {*pending.deleted, *pending.changes}
        old = await stored_matches(self._engine, self._request, criteria, touched)
        return {*new, *(stored.id for stored in old)}

    def check(self) -> None:
        """What links were replaced in must still be valid: a placeholder does not tell the type that it stands for."""
        for target in self._targets:
            if target.resource is None or target.body is target.entry.body:
                continue
            issues = validation.validate(target.resource, target.served_type.name)
            error = located(FhirError(Category.INVALID, issues), target.entry.at)
            error.issues = [issue for issue in error.issues if issue.expression not in self._identifiers]
            if error.issues:
                raise error
