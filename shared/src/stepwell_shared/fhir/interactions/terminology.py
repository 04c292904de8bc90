"""CodeSystem and ValueSet as served types: our own, those of R4 by their URL, and what a tenant adds."""

from collections.abc import Awaitable, Callable, Iterator

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.code_systems import all_codes_of, known_code_systems, known_value_sets, own_resources
from stepwell_shared.fhir.copies import ship
from stepwell_shared.fhir.interactions import coding, expanding
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Operation, ServedType, Write, served

_OF_DEFINITIONS = (
    *("context", "context-quantity", "context-type", "context-type-quantity", "context-type-value", "date"),
    *("description", "identifier", "jurisdiction", "name", "publisher", "status", "title", "url", "version"),
)
# Not by `code`: every concept would be a row.
CODE_SYSTEM_PARAMETERS = (*_OF_DEFINITIONS, "content-mode", "supplements", "system")
VALUE_SET_PARAMETERS = (*_OF_DEFINITIONS, "expansion", "reference")
R4 = "http://hl7.org/fhir"
_ADDED = READ_ONLY | {Interaction.CREATE, Interaction.UPDATE}

EngineOf = Callable[[], Engine]
"""The engine of the process, which exists once it has started."""
Handler = Callable[[Request], Awaitable[Response]]


def terminology_types(engine_of: EngineOf) -> Iterator[ServedType]:
    """CodeSystem and ValueSet: our own, those of R4 by their URL, and what a tenant adds."""
    yield served(
        "CodeSystem",
        CODE_SYSTEM_PARAMETERS,
        interactions=_ADDED,
        on_write=_refuse_known,
        operations=tuple(_code_system_operations(engine_of)),
        documentation="Our own code systems, and those of the tenant. What R4 or we define cannot be replaced.",
    )
    yield served(
        "ValueSet",
        VALUE_SET_PARAMETERS,
        interactions=_ADDED,
        on_write=_refuse_known,
        operations=tuple(_value_set_operations(engine_of)),
        documentation="The value sets of our own code systems, and those of the tenant. Those that R4 binds elements to"
        " are known by their URL. What R4 or we define cannot be replaced.",
    )


async def ship_terminology(engine: Engine, tenant: str) -> None:
    """Puts our own code systems and their value sets into a tenant, each under an id that names its version."""
    own = [each for system in own_resources("CodeSystem") for each in (system, all_codes_of(system))]
    await ship(engine, tenant, *({**each, "id": f"{each['id']}-{each['version']}"} for each in own))


async def _refuse_known(write: Write) -> None:
    url = (write.resource or {}).get("url")
    if url in known_code_systems() or url in known_value_sets() or str(url).startswith(f"{CANONICAL}/"):
        issue = Issue("this URL is taken: what R4 or this product defines cannot be replaced", "business-rule")
        raise FhirError(Category.BUSINESS_RULE, [issue])


def _code_system_operations(engine_of: EngineOf) -> Iterator[Operation]:
    validate = _at(engine_of, coding.validate_in_code_system)
    about = "Whether a code is one of this code system and is called what it says."
    for instance in (True, False):
        yield Operation(
            "validate-code",
            validate,
            Interaction.READ,
            about,
            instance=instance,
            affects_state=False,
            result="Parameters",
            definition=f"{R4}/OperationDefinition/CodeSystem-validate-code",
        )
    yield Operation(
        "lookup",
        _at(engine_of, coding.lookup),
        Interaction.READ,
        "What a code is called and what stands right above it: system and code, or coding.",
        instance=False,
        affects_state=False,
        result="Parameters",
        definition=f"{R4}/OperationDefinition/CodeSystem-lookup",
    )


def _value_set_operations(engine_of: EngineOf) -> Iterator[Operation]:
    expand = _at(engine_of, expanding.expand)
    validate = _at(engine_of, coding.validate_in_value_set)
    about_expand = (
        "The codes of a value set: url, or valueSet, with filter, count, offset, displayLanguage and"
        f" includeDesignations. More than {expanding.EXPANSION_MAX} at once are refused (too-costly)."
    )
    about_validate = "Whether a code (with system), coding or codeableConcept is in a value set: url or valueSet."
    for instance in (True, False):
        yield Operation(
            "expand",
            expand,
            Interaction.READ,
            about_expand,
            instance=instance,
            affects_state=False,
            definition=f"{R4}/OperationDefinition/ValueSet-expand",
        )
        yield Operation(
            "validate-code",
            validate,
            Interaction.READ,
            about_validate,
            instance=instance,
            affects_state=False,
            result="Parameters",
            definition=f"{R4}/OperationDefinition/ValueSet-validate-code",
        )


def _at(engine_of: EngineOf, verb: Callable[[Engine, Request], Awaitable[Response]]) -> Handler:
    async def answer(request: Request) -> Response:
        return await verb(engine_of(), request)

    return answer
