"""What each writing entry of a transaction is about: the resource and its present version, after resolving criteria."""

from dataclasses import dataclass, field, replace
from typing import Any

from stepwell_shared.fhir.body import same_content
from stepwell_shared.fhir.bundle.criteria import Criteria, criteria_of, stored_matches
from stepwell_shared.fhir.bundle.entries import Entry
from stepwell_shared.fhir.interactions import Engine, free_place, require_reach, visible
from stepwell_shared.fhir.interactions.creating import unique_criteria
from stepwell_shared.fhir.interactions.updating import refuse_subset
from stepwell_shared.fhir.messages import Request, check_if_match
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.unit import Stored

INTERACTIONS = {"DELETE": Interaction.DELETE, "POST": Interaction.CREATE, "PUT": Interaction.UPDATE,
                "PATCH": Interaction.PATCH}  # fmt: skip


@dataclass
class Target:
    """One writing entry with its resource's id and what is stored there now.

    `found` says that a conditional create found this resource, so that nothing is to be done. `body` and `resource` are
    what will be stored, links resolved.
    """

    entry: Entry
    request: Request
    served_type: ServedType
    id: str
    previous: Stored | None
    criteria: Criteria | None = None
    found: bool = False
    body: bytes = b""
    resource: dict[str, Any] | None = field(default=None)

    @property
    def asked(self) -> Interaction:
        """What the client calls it, and what scopes must grant."""
        return INTERACTIONS[self.entry.method]

    @property
    def interaction(self) -> Interaction:
        """What it is: a patch is an update."""
        return Interaction.UPDATE if self.asked is Interaction.PATCH else self.asked

    @property
    def is_own(self) -> bool:
        """Whether the server's own criteria make it conditional."""
        return self.criteria is not None and self.criteria.is_own

    @property
    def identity(self) -> tuple[str, str]:
        return self.served_type.name, self.id

    @property
    def version(self) -> int:
        """The version that will stand after the transaction."""
        before = self.previous.version if self.previous else 0
        return before if self.found else before + 1


async def target_of(engine: Engine, entry: Entry, request: Request, deleted: set[tuple[str, str]]) -> Target:
    """Resolves one entry. `deleted` are the identities that the transaction deletes before it creates and updates."""
    interaction = INTERACTIONS[entry.method]
    served_type = engine.permitted(request, interaction)
    if entry.method == "POST":
        target = await _created(engine, entry, request, served_type, deleted)
    elif entry.address.id:
        target = Target(
            entry, request, served_type, entry.address.id, await _current(engine, request, entry.address.id)
        )
    else:
        target = await _found_by_criteria(engine, entry, request, served_type, deleted)
    if entry.method != "DELETE":
        target.body, target.resource = entry.body, entry.resource
    return target


async def _current(engine: Engine, request: Request, id_: str) -> Stored | None:
    return await engine.store.read(request.access.tenant, request.resource_type, id_)


async def _created(
    engine: Engine, entry: Entry, request: Request, served_type: ServedType, deleted: set[tuple[str, str]]
) -> Target:
    """A create, at a new id unless criteria find one: the client's, or those of a type that is unique by identifier."""
    text = request.headers.get("if-none-exist")
    own = None if text is not None else unique_criteria(served_type, entry.resource or {})
    if text is None and own is None:
        return Target(entry, request, served_type, engine.new_id(), None)
    place = f"{entry.at}.request.ifNoneExist" if own is None else f"{entry.at}.resource.identifier"
    criteria = criteria_of(engine, request, served_type.name, text or own or "", place, is_own=own is not None)
    id_, previous = await free_place(engine, request.access.tenant, served_type.name, criteria.parameters)
    matches = await stored_matches(engine, request, criteria, deleted)
    if len(matches) > 1:
        issue = Issue("more than one resource matches", "multiple-matches", place)
        raise FhirError(Category.MULTIPLE_MATCHES, [issue])
    if not matches:
        return Target(entry, request, served_type, id_, previous, criteria)
    return Target(entry, request, served_type, matches[0].id, matches[0], criteria, found=True)


def refuse_other_content(target: Target) -> None:
    """A type that is unique by identifier is created again only by who says the same."""
    if not target.is_own or target.previous is None or target.resource is None:
        return
    if not same_content(target.previous.body or b"", target.resource):
        text = "another one with this identifier and different content exists; correct it with PUT"
        raise FhirError(Category.CONFLICT, [Issue(text, "conflict", f"{target.entry.at}.resource.identifier")])


async def _found_by_criteria(
    engine: Engine, entry: Entry, request: Request, served_type: ServedType, deleted: set[tuple[str, str]]
) -> Target:
    """A conditional update, patch or delete. https://hl7.org/fhir/R4/http.html#cond-update"""
    place = f"{entry.at}.request.url"
    criteria = criteria_of(engine, request, served_type.name, entry.address.query, place)
    id_, free = await free_place(engine, request.access.tenant, served_type.name, criteria.parameters)
    matches = await stored_matches(engine, request, criteria, set() if entry.method == "DELETE" else deleted)
    if len(matches) > 1:
        issue = Issue("more than one resource matches", "multiple-matches", place)
        raise FhirError(Category.MULTIPLE_MATCHES, [issue])
    given = str((entry.resource or {}).get("id", "")) if entry.method == "PUT" else ""
    if matches:
        if given and given != matches[0].id:
            issue = Issue("the id in the body is not that of the match", "invalid", f"{entry.at}.resource.id")
            raise FhirError(Category.INVALID, [issue])
        return Target(entry, request, served_type, matches[0].id, matches[0], criteria)
    if entry.method == "PATCH":
        raise FhirError(Category.NOT_FOUND, [Issue("no resource matches", "not-found", place)])
    if entry.method == "DELETE":
        return Target(entry, request, served_type, "", None, criteria)
    if given:
        previous = await _current(engine, request, given)
        if previous is not None and previous.body is not None and (served_type.name, given) not in deleted:
            issue = Issue(
                "this resource is there, and the criteria do not match it", "conflict", f"{entry.at}.resource.id"
            )
            raise FhirError(Category.CONFLICT, [issue])
        return Target(entry, request, served_type, given, previous, criteria)
    return Target(entry, request, served_type, id_, free, criteria)


async def check_target(engine: Engine, target: Target) -> None:
    """What a single request of the same kind would be held to. Raises FhirError."""
    request, served_type, previous = target.request, target.served_type, target.previous
    if target.found or not target.id:
        return
    existed = previous is not None and previous.body is not None
    if target.resource is not None:
        if target.entry.method == "PUT":
            refuse_subset(target.resource)
            if target.criteria is None and target.resource.get("id") != target.id:
                text = "the id in the body must be the id in the URL"
                raise FhirError(Category.INVALID, [Issue(text, "invalid", f"{served_type.name}.id")])
        await require_reach(engine, request, served_type, target.asked, target.id, target.resource)
    if target.entry.method == "POST":
        return
    if existed or target.entry.method == "PATCH":
        await visible(engine, replace(request, id=target.id), served_type, previous, target.asked)
    if existed or target.entry.method != "DELETE":
        check_if_match(request, previous)
    if target.entry.method == "PUT" and not existed and not served_type.allows_update_create:
        text = f"{served_type.name} with new ids are not made by clients; there is none with this id"
        raise FhirError(Category.INVALID, [Issue(text, "not-supported", served_type.name)])
