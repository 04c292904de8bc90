"""What one service shares with those who act under Consents, by its own copies of them.

https://hl7.org/fhir/R4/consent.html
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson

from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.roles import UNNAMED
from stepwell_shared.auth.scopes import Scope, Scopes
from stepwell_shared.consent.narrowing import Pairs, by_queries, permitted_queries
from stepwell_shared.consent.policy import shipped_policy
from stepwell_shared.consent.provisions import (
    SHARING_SCOPE,
    Coding,
    Effect,
    Provision,
    SharingConsent,
    sharing_consent,
)
from stepwell_shared.consent.rules import Actor, Decision, Kind, Policy, decide_sharing
from stepwell_shared.fhir import definitions
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.search.terms import escape

ANY_ACTOR = "any-actor"
# Each person is a value of the search; more than this are told of by events, or read with the token of somebody inside.
PEOPLE_MAX = 400
CONSENTS_MAX = 2_000
# A search by what no type is searched by, which reaches nothing: nobody of this type is there for the caller.
NOBODY = (("-nobody", "here"),)
SEEN = "rs"  # a Consent lets see, and change nothing
_RELATED_PERSON, _SUBSCRIPTION = "RelatedPerson", "Subscription"
_SUBSCRIPTIONS_OF = "SELECT subscription_id FROM subscriptions_of($1, $2)"

Resource = dict[str, Any]
# Consents that say the same, and the people who gave them: what is decided for one is decided for all.
Alike = tuple[Sequence[SharingConsent], list[str]]


def actor_of(reference: str) -> Actor:
    """Who acts for others than the organisation: a related person, or another organisation."""
    is_related = reference.rpartition("/")[0].rpartition("/")[2] == _RELATED_PERSON
    return Actor(Kind.RELATED_PERSON if is_related else Kind.OUTSIDE, reference)


@dataclass(frozen=True)
class Sharing:
    """The decisions of one service."""

    engine: Engine
    policy: Policy

    @classmethod
    def of(cls, engine: Engine) -> "Sharing":
        """With the policy that ships."""
        return cls(engine, shipped_policy())

    async def consents_about(self, tenant: str, person: str) -> list[SharingConsent]:
        """The sharing Consents of a person, given as `Patient/x`, an absolute URL or `system|value`."""
        if not person:
            return []
        name = "patient" if "/" in person.partition("|")[0] and "|" not in person else "patient:identifier"
        text = escape(person) if name == "patient" else "|".join(map(escape, person.split("|", 1)))
        return await self._found(tenant, [(name, text)])

    def decide(
        self, consents: Sequence[SharingConsent], actor: Actor, resource_type: str, resource: Resource
    ) -> Decision:
        """Whether this resource may be shared with the actor for the purpose for which that kind of actor acts."""
        return self._decide(
            consents,
            actor,
            resource_type,
            [_coding(each) for each in resource.get("meta", {}).get("security", ())],
            codes_of(resource_type, resource),
        )

    async def narrowed(self, caller: Caller) -> Caller:
        """The caller with no more scopes than Consents leave now. Without one that permits it sees no person.

        Raises FhirError FORBIDDEN when more people consented than one request may look at.
        """
        if caller.actor in {None, UNNAMED}:
            return caller.narrowed_to(Scopes())  # no Consent can be about somebody who does not say who it is
        actor = actor_of(self.engine.localise(caller.actor or ""))
        consents = _alike(await self._naming(caller.tenant, actor))
        rows = await self.engine.store.fetch(_SUBSCRIPTIONS_OF, caller.tenant, actor.reference)
        own = [row["subscription_id"] for row in rows]
        scopes = [each for scope in caller.scopes for each in self._left(scope, actor, consents, own)]
        return caller.narrowed_to(Scopes(tuple(dict.fromkeys(scopes))))

    async def _naming(self, tenant: str, actor: Actor) -> dict[str, list[SharingConsent]]:
        """All sharing Consents of the people of whom one may permit the actor something."""
        found = await self._found(tenant, [(ANY_ACTOR, escape(actor.reference))])
        if not self.policy.defaults[actor.kind].is_named:
            found += await self._found(tenant, [(f"{ANY_ACTOR}:missing", "true")])
        people = sorted({each.patient for each in found if each.patient})
        if len(people) > PEOPLE_MAX:
            text = f"more than {PEOPLE_MAX} people consented to this; subscribe to what concerns them instead"
            raise FhirError(Category.FORBIDDEN, text)
        of_person: dict[str, list[SharingConsent]] = {person: [] for person in people}
        for each in await self._found(tenant, [("patient", ",".join(map(escape, people)))]) if people else ():
            of_person[each.patient].append(each)
        return of_person

    async def _found(self, tenant: str, criteria: list[tuple[str, str]]) -> list[SharingConsent]:
        given = [*criteria, ("status", "active"), ("scope", SHARING_SCOPE)]
        query = query_of(self.engine, self.engine.registry.types["Consent"], given, (), strict=True)
        query.count = CONSENTS_MAX
        rows = await self.engine.store.search(tenant, *query.page_statement())
        if len(rows) > CONSENTS_MAX:
            raise FhirError(Category.FORBIDDEN, f"more than {CONSENTS_MAX} Consents would have to be looked at")
        read = [sharing_consent(orjson.loads(row["body"]), self.engine.localise) for row in rows]
        return [each for each in read if each is not None]

    def _decide(
        self,
        consents: Sequence[SharingConsent],
        actor: Actor,
        resource_type: str,
        labels: Collection[Coding],
        codes: Collection[Coding] | None,
    ) -> Decision:
        return decide_sharing(
            consents,
            actor=actor,
            purpose=self.policy.defaults[actor.kind].purpose,
            resource_type=resource_type,
            security_labels=labels,
            now=self.engine.clock(),
            policy=self.policy,
            codes=codes,
        )

    def _left(self, scope: Scope, actor: Actor, consents: Sequence[Alike], own: Sequence[str]) -> list[Scope]:
        """What is left of one scope; `own` are the ids of the actor's Subscriptions."""
        letters = "".join(each for each in scope.letters if each in SEEN)
        types = self.engine.registry.types
        names = list(types) if scope.resource_type == "*" else [scope.resource_type]
        left: list[Scope] = []
        if actor.kind is Kind.OUTSIDE and _SUBSCRIPTION in names:
            left += _subscribing(scope, own)
        for name in names if letters else ():
            if name in self.policy.open_types:
                left.append(replace(scope, resource_type=name, letters=letters))
            elif name in types and name != _SUBSCRIPTION:
                pairs = self._queries(types[name], actor, consents)
                left += [Scope(scope.context, name, letters, (*scope.filters, *each)) for each in pairs]
        return left

    def _queries(self, served_type: ServedType, actor: Actor, consents: Sequence[Alike]) -> list[Pairs]:
        """The searches that find what may be seen of a type; one that finds nothing when that is nothing."""
        name = "_id" if served_type.name == "Patient" else "patient"
        if name == "patient" and name not in served_type.parameters:
            return [NOBODY]
        queries = {}
        for alike, people in consents:
            permits = partial(self._permits, alike, actor, served_type.name)
            found = permitted_queries(alike, permits, has_codes="code" in served_type.parameters)
            queries.update(dict.fromkeys(people, found))
        searches = []
        for pairs, people in by_queries(queries):
            listed = [_as_id(each) for each in people] if name == "_id" else people
            if wanted := [escape(each) for each in listed if each]:
                searches.append(((name, ",".join(wanted)), *pairs))
        return searches or [NOBODY]

    def _permits(
        self,
        consents: Sequence[SharingConsent],
        actor: Actor,
        resource_type: str,
        labels: Collection[Coding],
        codes: Collection[Coding] | None,
    ) -> bool:
        return self._decide(consents, actor, resource_type, labels, codes).permitted


def _alike(consents: Mapping[str, Sequence[SharingConsent]]) -> list[Alike]:
    """The people grouped by what their Consents say: most say what a few forms make them say."""
    groups: dict[frozenset[tuple[Effect, Provision]], Alike] = {}
    for person, of_person in consents.items():
        said = frozenset((each.base, each.root) for each in of_person)
        groups.setdefault(said, (of_person, []))[1].append(person)
    return list(groups.values())


def _subscribing(scope: Scope, own: Sequence[str]) -> Iterator[Scope]:
    """Subscriptions may be made, and one's own looked at and changed: what they tell is decided at each send."""
    if "c" in scope.letters:
        yield Scope(scope.context, _SUBSCRIPTION, "c", scope.filters)
    letters = scope.letters.replace("c", "")
    yield from (Scope(scope.context, _SUBSCRIPTION, letters, (*scope.filters, ("_id", id_))) for id_ in own if letters)


def codes_of(resource_type: str, resource: Resource) -> list[Coding] | None:
    """The codes that say what a resource is about; None where R4 has no code to compare."""
    if "code" not in definitions.search_parameters(resource_type):
        return None
    code = resource.get("code")
    concepts = code if isinstance(code, list) else [code]
    return [_coding(each) for concept in concepts if isinstance(concept, dict) for each in concept.get("coding", ())]


def _coding(given: Resource) -> Coding:
    return Coding(str(given.get("system", "")), str(given.get("code", "")))


def _as_id(person: str) -> str:
    """The id of a Patient that is kept here; nothing for one of an EHR."""
    resource_type, _, id_ = person.partition("/")
    return id_ if resource_type == "Patient" and "/" not in id_ else ""
