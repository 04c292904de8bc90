"""$validate: whether a resource would be accepted, without storing anything.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import msgspec

from stepwell_shared.fhir import validation
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import visible
from stepwell_shared.fhir.interactions.updating import refuse_subset
from stepwell_shared.fhir.interactions.writing import next_version
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue, outcome_bytes
from stepwell_shared.fhir.registry import Interaction, ServedType, Write
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.validation import json_text, profiles
from stepwell_shared.fhir.validation.profiles import Profile

OPERATION = "$validate"
MODES = {"create": Interaction.CREATE, "update": Interaction.UPDATE, "delete": Interaction.DELETE}
# Refusals that say something about the caller or the moment, not about the resource.
_COULD_NOT_RUN = frozenset({Category.UNAVAILABLE, Category.FAULT, Category.FORBIDDEN, Category.UNAUTHENTICATED})


class _Parameter(msgspec.Struct, rename="camel"):
    name: str
    resource: msgspec.Raw = msgspec.Raw()
    value_code: str | None = None
    value_uri: str | None = None
    value_canonical: str | None = None
    value_string: str | None = None


class _Kind(msgspec.Struct, rename="camel"):
    resource_type: str = ""


class _Parameters(msgspec.Struct):
    parameter: list[_Parameter] = []


class _Asked(NamedTuple):
    body: bytes
    mode: str
    profiles: list[str]


_kind = msgspec.json.Decoder(_Kind)
_parameters = msgspec.json.Decoder(_Parameters)


async def validate(engine: Engine, request: Request) -> Response:
    """Answers 200 with every finding, whether the resource is valid or not; nothing is stored.

    The resource is held to R4, to the profiles that are asked for, and to those that it claims in `meta.profile` as far
    as they are known. Raises FhirError when it cannot run: no resource, an unknown mode, or an unknown profile.
    """
    served_type = engine.served(request.resource_type, Interaction.READ)
    request.access.require(served_type.name, OPERATION)
    asked = _asked(request)
    wanted = [_profile(canonical, served_type) for canonical in asked.profiles]
    at = replace(request, body=asked.body)
    resource: dict[str, Any] | None = None
    issues: list[Issue] = []
    if asked.mode != "delete":
        resource, issues = _content(at, served_type, wanted)
    if asked.mode and (resource is not None or asked.mode == "delete"):
        issues += await _of_write(engine, at, served_type, asked.mode, resource)
    if not any(issue.severity == "error" for issue in issues):
        text = "the resource is valid" if asked.mode != "delete" else "the resource can be deleted"
        issues.append(Issue(text, "informational", severity="information"))
    return Response(200, outcome_bytes(issues), {}, request.id)


def _profile(canonical: str, served_type: ServedType) -> Profile:
    found = profiles.find(canonical, served_type.name)
    if found is None:
        known = [each.url for each in profiles.known().values() if each.type == served_type.name]
        text = (
            f"this profile is not known here for {served_type.name}; known: {', '.join([_base(served_type), *known])}"
        )
        raise FhirError(Category.NOT_FOUND, [Issue(text, "not-supported", "Parameters.parameter")])
    return found


def _base(served_type: ServedType) -> str:
    return f"{profiles.BASE}{served_type.name}"


def _content(
    request: Request, served_type: ServedType, wanted: Sequence[Profile]
) -> tuple[dict[str, Any] | None, list[Issue]]:
    """The resource if R4 takes it, and all that is wrong with it by R4 and by profiles."""
    try:
        parsed, _ = json_text.read(request.body)
    except FhirError as error:
        return None, error.issues
    try:
        resource, issues = validation.check(request.body, served_type.name), list[Issue]()
    except FhirError as error:
        resource, issues = None, error.issues
    if parsed.get("resourceType") != served_type.name:
        return None, issues
    claimed = [profiles.find(each, served_type.name) for each in _claimed(parsed)]
    if None in claimed:
        text = "a profile that the resource claims is not known here and was not looked at"
        issues.append(Issue(text, "not-supported", f"{served_type.name}.meta.profile", "warning"))
    for profile in {each.url: each for each in (*wanted, *claimed) if each is not None}.values():
        issues += profiles.findings(parsed, profile, is_valid=resource is not None)
    return resource, json_text.refusal(issues).issues


def _claimed(parsed: dict[str, Any]) -> list[str]:
    """The canonicals in `meta.profile`, as far as they are text."""
    meta = parsed.get("meta")
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    return [each for each in claimed if isinstance(each, str)] if isinstance(claimed, list) else []


def _asked(request: Request) -> _Asked:
    """Bare resource, or Parameters with resource, mode and profile; the URL may name mode and profile too."""
    given = [(name, value) for name, value in request.parameters if name in {"mode", "profile"}]
    body = request.body
    parameters = _sent(body)
    if parameters is not None:
        body = b""
        for each in parameters:
            if each.name == "resource":
                body = bytes(each.resource)
            elif each.name in {"mode", "profile"}:
                value = each.value_code or each.value_uri or each.value_canonical or each.value_string
                given.append((each.name, value or ""))
    modes = [value for name, value in given if name == "mode"]
    if len(modes) > 1 or any(mode not in MODES for mode in modes):
        raise FhirError(Category.INVALID, [Issue(f"mode is one of {', '.join(MODES)}", "not-supported")])
    mode = modes[0] if modes else ""
    if not body and mode != "delete":
        raise FhirError(Category.INVALID, [Issue("send the resource that is to be validated", "required")])
    if mode == "delete" and not request.id:
        raise FhirError(Category.INVALID, [Issue("mode delete is for one resource: Type/id/$validate", "required")])
    return _Asked(body, mode, [value for name, value in given if name == "profile"])


def _sent(body: bytes) -> list[_Parameter] | None:
    """The parameters, or nothing when the body is the bare resource. Raises FhirError INVALID for what is neither."""
    if not body:
        return []
    try:
        kind = _kind.decode(body).resource_type
    except msgspec.ValidationError as error:
        if body.lstrip().startswith(b"{"):
            return None
        text = "this takes a JSON object: a resource, or Parameters"
        raise FhirError(Category.INVALID, [Issue(text, "structure")]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FhirError(Category.INVALID, [Issue("the body is not JSON (RFC 8259, UTF-8)", "structure")]) from error
    if kind != "Parameters":
        return None
    try:
        return _parameters.decode(body).parameter
    except msgspec.ValidationError as error:
        text = "this takes a resource, or Parameters with resource, mode and profile"
        raise FhirError(Category.INVALID, [Issue(text, "structure", "Parameters.parameter")]) from error


async def _of_write(
    engine: Engine, request: Request, served_type: ServedType, mode: str, resource: dict[str, Any] | None
) -> list[Issue]:
    """What a write in this mode would be refused for. Raises FhirError when that cannot be said."""
    try:
        await _try(engine, request, served_type, mode, resource)
    except FhirError as error:
        if error.category in _COULD_NOT_RUN:
            raise
        return error.issues
    return []


async def _try(
    engine: Engine, request: Request, served_type: ServedType, mode: str, resource: dict[str, Any] | None
) -> None:
    """Goes through a write without committing it. Raises FhirError as the write would."""
    interaction = MODES[mode]
    engine.served(served_type.name, interaction)
    tenant = request.access.tenant
    id_ = engine.new_id() if mode == "create" else request.id or (resource or {}).get("id", "")
    previous = await engine.store.read(tenant, served_type.name, id_) if mode != "create" and id_ else None
    if resource is not None and mode == "update":
        _refuse_update(served_type, resource, id_, is_new=previous is None or previous.body is None)
    if mode == "delete" or (previous is not None and previous.body is not None):
        await visible(engine, replace(request, id=id_), served_type, previous)
    if served_type.on_write is not None:
        now = engine.clock()
        stored = next_version(served_type, interaction, id_, previous, resource, request.body, now)
        read = partial(engine.store.read, tenant)
        unit = UnitOfWork(tenant)  # what the type's rules would add goes nowhere
        await served_type.on_write(Write(request.access, interaction, resource, previous, stored, unit, now, read))


def _refuse_update(served_type: ServedType, resource: dict[str, Any], id_: str, *, is_new: bool) -> None:
    refuse_subset(resource)
    if not id_ or resource.get("id") != id_:
        text = "an update needs an id, the same in body and URL"
        raise FhirError(Category.INVALID, [Issue(text, "invalid", f"{served_type.name}.id")])
    if is_new and not served_type.allows_update_create:
        text = f"{served_type.name} with new ids are not made by clients"
        raise FhirError(Category.METHOD_NOT_ALLOWED, text)
