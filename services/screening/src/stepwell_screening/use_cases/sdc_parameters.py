"""What SDC's operations are asked: Parameters with numbers as they were written, the query of a GET, or one resource.

https://hl7.org/fhir/R4/operations.html#executing
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import msgspec
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue, operation_outcome
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import find_instrument
from stepwell_screening.rules.fhirpath import TooCostlyError
from stepwell_screening.rules.finding import Finding

Resource = dict[str, Any]
_ABOUT_THE_ANSWER = frozenset({"_format", "_pretty"})
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its resource, value or parts, and where it stands."""

    name: str
    content: Mapping[str, Any]
    path: str

    @property
    def resource(self) -> Resource | None:
        return self.content.get("resource")

    @property
    def value(self) -> Any:
        return next((value for key, value in self.content.items() if key.startswith("value")), None)

    def parts(self) -> Iterator["Parameter"]:
        for index, part in enumerate(self.content.get("part", ())):
            yield Parameter(part["name"], part, f"{self.path}.part[{index}]")


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of one request."""

    parameters: Sequence[Parameter]

    def all(self, name: str) -> list[Parameter]:
        return [each for each in self.parameters if each.name == name]

    def one(self, *names: str) -> Parameter | None:
        """The parameter under one of its names; the first one where SDC's versions differ. Raises INVALID for two."""
        found = [each for name in names for each in self.all(name)]
        if len(found) > 1:
            raise invalid(f"{names[0]} is given once", found[1].path)
        return found[0] if found else None


def decoded(body: bytes) -> Resource:
    """JSON with decimals as they were written. Raises FhirError INVALID."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FhirError(Category.INVALID, [Issue("the body is not JSON (RFC 8259, UTF-8)", "structure")]) from error


def asked(request: Request, sole: str, known: Sequence[str]) -> Asked:
    """What a request asks; `sole` is the parameter that may be the whole body. Raises FhirError for unknown ones."""
    body = decoded(request.body) if request.body else {}
    given = [Parameter(sole, {"resource": body}, body["resourceType"])] if body else []
    if body.get("resourceType") == "Parameters":
        rows = enumerate(body.get("parameter", ()))
        given = [Parameter(each["name"], each, f"Parameters.parameter[{index}]") for index, each in rows]
    for name, text in request.parameters:
        if name not in _ABOUT_THE_ANSWER:
            given.append(Parameter(name, {"valueString": text}, f"http.{name[:64]}"))
    for each in given:
        if each.name not in known:
            raise invalid(f"this operation takes {', '.join(known)}", each.path, "not-supported")
    return Asked(given)


async def questionnaire_of(runtime: Runtime, request: Request, given: Asked, *names: str) -> Resource:
    """The Questionnaire of an instance, or the one that a parameter is, refers to or names by its canonical.

    Raises FhirError: 404 where it is not known to the caller, 400 where none is given.
    """
    if request.resource_type == "Questionnaire" and request.id:
        return await read_resource(runtime, request, "Questionnaire", request.id)
    parameter = given.one(*names)
    if parameter is None:
        raise invalid("name the Questionnaire: its canonical, a Reference or the resource", "Parameters", "required")
    if parameter.resource is not None:
        return _of_type(parameter, "Questionnaire")
    value = parameter.value
    if isinstance(value, Mapping) and "reference" in value:
        return await referred(runtime, request, parameter, "Questionnaire")
    if not isinstance(value, str):
        raise invalid("this is no canonical, no Reference and no Questionnaire", parameter.path, "value")
    found = await known_questionnaire(runtime, request.access.tenant, value)
    if found is None:
        raise FhirError(
            Category.NOT_FOUND, [Issue("this Questionnaire is not known here", "not-found", parameter.path)]
        )
    return found


async def known_questionnaire(runtime: Runtime, tenant: str, canonical: str) -> Resource | None:
    """The Questionnaire that a canonical names."""
    instrument = await find_instrument(runtime, tenant, canonical)
    return None if instrument is None else instrument.questionnaire


async def referred(runtime: Runtime, request: Request, parameter: Parameter, *kinds: str) -> Resource:
    """The resource of this service that a Reference names. Raises FhirError where the caller cannot read it."""
    address = runtime.engine.localise(str(parameter.value.get("reference"))).partition("/_history/")[0]
    kind, _, id_ = address.partition("/")
    served = runtime.engine.registry.types
    if "/" in id_ or (kinds and kind not in kinds) or kind not in served:
        raise invalid("this refers to nothing that is kept here", f"{parameter.path}.value", "not-supported")
    return await read_resource(runtime, request, kind, id_)


async def read_resource(runtime: Runtime, request: Request, kind: str, id_: str) -> Resource:
    """A resource as the caller would read it, and on record like any read. Raises FhirError."""
    witness = request.witness_of(kind) if request.witness_of is not None else request.witness
    reading = replace(
        request,
        resource_type=kind,
        id=id_,
        version_id="",
        body=b"",
        headers={},
        parameters=(),
        witness=witness,
        keep=None,
    )
    answer = await interactions.read(runtime.engine, reading)
    return decoded(answer.body)


def _of_type(parameter: Parameter, kind: str) -> Resource:
    resource = parameter.resource or {}
    if resource.get("resourceType") != kind:
        raise invalid(f"{parameter.name} is a {kind}", parameter.path, "value")
    return resource


def resource_of(parameter: Parameter | None, name: str, kind: str) -> Resource:
    """The resource that a parameter must hold. Raises FhirError INVALID."""
    if parameter is None:
        raise invalid(f"send the {kind} as the parameter {name}", "Parameters", "required")
    return _of_type(parameter, kind)


def invalid(text: str, path: str, code: str = "invalid") -> FhirError:
    return FhirError(Category.INVALID, [Issue(text, code, path)])


def unprocessable(text: str, path: str, code: str = "business-rule") -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, code, path)])


def too_much(error: ValueError) -> FhirError:
    """The refusal of a form that cannot be worked through: too costly, or not fit for it."""
    code = "too-costly" if isinstance(error, TooCostlyError) else "business-rule"
    return unprocessable(str(error), "Questionnaire", code)


def issues_of(findings: Sequence[Finding], severity: str = "warning") -> list[Issue]:
    return [Issue(each.text, each.code, each.expression, severity) for each in findings]


def parameters_response(results: Mapping[str, Resource], name: str, issues: Sequence[Issue], id_: str = "") -> Response:
    """Parameters with what came of it, and under `name` an OperationOutcome when there is something to say."""
    rows: list[Resource] = [{"name": each, "resource": resource} for each, resource in results.items()]
    if issues:
        rows.append({"name": name, "resource": operation_outcome(issues)})
    return Response(200, encode({"resourceType": "Parameters", "parameter": rows}), {}, id_)
