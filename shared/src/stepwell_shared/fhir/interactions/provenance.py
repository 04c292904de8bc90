"""The X-Provenance header: who or what stands behind a write, told with the write and stored with it.

https://hl7.org/fhir/R4/provenance.html#header
"""

from typing import Any

import orjson

from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import with_meta
from stepwell_shared.fhir.interactions.engine import Engine, change_of
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, Write
from stepwell_shared.fhir.unit import Method, Stored

HEADER = "x-provenance"
CHARACTERS_MAX = 8192
_TYPE = "Provenance"


async def add_provenance(engine: Engine, request: Request, write: Write) -> None:
    """Adds the Provenance in the request's header, if there is one, to the write's unit of work.

    The server fills `target` with the version that is written. Raises FhirError.
    """
    text = request.headers.get(HEADER)
    if text is None or write.resource is None:
        return
    served_type = engine.registry.types.get(_TYPE)
    if served_type is None:
        raise _refused(f"{engine.registry.service} keeps no Provenance", "not-supported")
    request.access.require(_TYPE, Interaction.CREATE)
    if request.access.filters(_TYPE, Interaction.CREATE):
        raise FhirError(Category.FORBIDDEN, "the scopes of this token are narrowed for Provenance")
    body = _with_target(text, f"{write.stored.resource_type}/{write.stored.id}/_history/{write.stored.version}")
    try:
        resource = validation.check(body, _TYPE)
    except FhirError as error:
        issues = [Issue(f"{HEADER}: {each.diagnostics}", each.code, each.expression) for each in error.issues]
        raise FhirError(error.category, issues) from None
    id_ = engine.new_id()
    stored = Stored(_TYPE, id_, 1, write.now, with_meta(body, resource, id_, 1, write.now), Method.POST)
    unit = write.unit
    unit.changes.append(change_of(engine, stored, resource))
    if served_type.on_write is not None:
        nested = Write(write.access, Interaction.CREATE, resource, None, stored, unit, write.now, write.read)
        await served_type.on_write(nested)


def _with_target(text: str, target: str) -> bytes:
    """The header's JSON with the target; the rest stays as it was sent."""
    if len(text) > CHARACTERS_MAX:
        raise _refused(f"it has more than {CHARACTERS_MAX} characters", "too-long")
    try:
        body = text.encode("latin-1").decode()
        given: Any = orjson.loads(body)
    except (UnicodeError, orjson.JSONDecodeError):
        raise _refused("it is not JSON in UTF-8", "structure") from None
    if not isinstance(given, dict) or not given:
        raise _refused("it is not a Provenance", "structure")
    if "target" in given:
        raise _refused("the server fills target: leave it out", "invalid")
    opening, _, rest = body.partition("{")
    return f"{opening}{{{orjson.dumps({'target': [{'reference': target}]}).decode()[1:-1]},{rest}".encode()


def _refused(text: str, code: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(f"{HEADER}: {text}", code)])
