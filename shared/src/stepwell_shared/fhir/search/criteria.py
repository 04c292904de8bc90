"""One `name[:modifier]=value` of a request as a condition on a row: plain, chained or reversed (`_has`).

https://hl7.org/fhir/R4/search.html sections 3.1.1.4.15 and 3.1.1.4.16
"""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import parse_qsl

from stepwell_shared.fhir import definitions, values
from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.search.canonicals import is_canonical, is_target, spellings
from stepwell_shared.fhir.search.conditions import Context, any_of, condition
from stepwell_shared.fhir.search.dates import moment_condition
from stepwell_shared.fhir.search.hierarchies import hierarchical_target, in_hierarchy
from stepwell_shared.fhir.search.terms import Values, alternatives, refused, too_costly
from stepwell_shared.fhir.table_names import current_table, index_table, number_table

HOPS_MAX = 4
# A compartment search (`Patient/1/Observation`) is a search with this parameter of ours.
COMPARTMENT = "-compartment"
_AFTER_SLASH = "0"
_OF_ALL_TYPES = frozenset({"_id", "_lastUpdated", "_query", "_has", COMPARTMENT})


def criterion(served_type: ServedType, name: str, value: str, context: Context, found: Values) -> str | None:
    """SQL for one parameter, or None when the type has none of that name. Raises FhirError."""
    plain, _, modifier = name.partition(":")
    if plain in _OF_ALL_TYPES:
        return _of_all_types(served_type, plain, modifier, value, context, found)
    head, dot, rest = name.partition(".")
    parameter = served_type.parameters.get(head.partition(":")[0])
    if dot and parameter is not None:
        return _chained(parameter, head.partition(":")[2], rest, value, context, found)
    parameter = served_type.parameters.get(plain)
    if parameter is None:
        return None
    if modifier in {"above", "below"} and "Reference" in parameter.element_types and parameter.type == "reference":
        return any_of(_among_kin(parameter, modifier, each, context, found) for each in alternatives(value))
    return condition(served_type, parameter, modifier, value, context, found)


def _of_all_types(
    served_type: ServedType, name: str, modifier: str, value: str, context: Context, found: Values
) -> str:
    """A parameter that no type declares."""
    if name == "_query":
        raise refused(name, "no named query is served")
    if name == COMPARTMENT:
        return _in_compartment(served_type, value, context, found)
    if name == "_has":
        return _reversed(served_type, modifier, value, context, found)
    return _common(name, modifier, value, context, found)


def granted_condition(served_type: ServedType, granted: Sequence[str], context: Context, found: Values) -> str:
    """What granular scopes reach; a scope whose parameter is not served reaches nothing."""
    reached: list[str] = []
    checked = len(found.checks)
    for text in granted:
        tests = [criterion(served_type, name, value, context.probing(), found) for name, value in parse_qsl(text)]
        if None not in tests:
            reached.append(" AND ".join(test for test in tests if test) or "true")
    del found.checks[checked:]  # a scope that could mean several types reaches all of them, and refuses nothing
    return "(" + (" OR ".join(f"({each})" for each in reached) or "false") + ")"


def _common(name: str, modifier: str, value: str, context: Context, found: Values) -> str:
    """The parameters that are the row's own, which no resource is without."""
    if modifier == "missing" and value in {"true", "false"}:
        return "false" if value == "true" else "true"
    if modifier == "not" and name == "_id":
        return f"NOT {_common(name, '', value, context, found)}"
    if modifier:
        raise refused(f"{name}:{modifier}", "this modifier is not supported, or takes true or false")
    if name == "_id":
        return f"{context.row}.id = ANY({found.add_all(alternatives(value))}::text[])"
    moment = f"{context.row}.last_updated"
    return any_of(moment_condition(name, part, moment, context.now, found) for part in alternatives(value))


def compartment_parameters(served_type: ServedType, name: str) -> list[SearchParameter]:
    """What puts a resource of this type into a compartment, as far as this service searches by it."""
    names = definitions.compartment(name).get(served_type.name, ()) if name == "Patient" else ()
    return [served_type.parameters[each] for each in names if each in served_type.parameters]


def _in_compartment(served_type: ServedType, value: str, context: Context, found: Values) -> str:
    """https://hl7.org/fhir/R4/compartmentdefinition.html"""
    name, _, id_ = value.partition("/")
    parameters = compartment_parameters(served_type, name)
    if not parameters:
        raise refused(COMPARTMENT, "takes Patient/id, for a type that belongs to the Patient compartment")
    address = f"{name}/{id_}"
    place = found.add(values.index_key(address))
    table = current_table(served_type.name)
    ids = [f"SELECT {found.add(id_)}"] if served_type.name == name else []
    for each in parameters:
        if each.storage is Storage.COLUMN:
            column = _indexed_column(served_type, each)
            ids.append(f"SELECT c.id FROM {table} AS c WHERE c.tenant = s.tenant AND c.{column} = {place}")
        else:
            rows = f"{context.index_table} AS i WHERE i.tenant = s.tenant AND i.parameter = '{each.name}'"
            ids.append(f"SELECT i.id FROM {rows} AND i.code = {place}")
    return f"{context.row}.id = ANY(ARRAY({' UNION '.join(ids)}))"


def _indexed_column(served_type: ServedType, parameter: SearchParameter) -> str:
    """A patient is found by the column `patient`, which the indexes are on: it says the same as `subject`."""
    patient = served_type.parameters.get("patient")
    is_same = parameter.name == "subject" and patient is not None and patient.storage is Storage.COLUMN
    return patient.column if is_same and patient is not None else parameter.column


def _among_kin(parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values) -> str:
    """`reference:below=Organization/1`: the reference points at it or at a part of it, which the caller may find."""
    target = hierarchical_target(parameter, modifier, text, context)
    name, row = target[0].name, f"h{context.depth}"
    granted = context.filters(name)
    inner = inside(context, name, row, context.depth + 1)
    reached = granted_condition(target[0], granted, inner, found) if granted else "true"
    return in_hierarchy(parameter, modifier, target, reached, row, context, found)


def _chained(parameter: SearchParameter, target: str, rest: str, value: str, context: Context, found: Values) -> str:
    """`reference[:Type].rest=value`: the reference points at a resource that rest finds."""
    name = parameter.name
    if parameter.type != "reference" or not parameter.element_types & {"Reference", "canonical"}:
        raise refused(name, "is no reference that can be chained")
    if target and parameter.targets and target not in parameter.targets:
        raise refused(name, "this target type is not supported")
    candidates = (
        [target] if target else (parameter.targets or tuple(context.registry.types if context.registry else ()))
    )
    tests = []
    for candidate in candidates:
        served_type = context.registry.types.get(candidate) if context.registry else None
        if served_type is None or (is_canonical(parameter) and not is_target(served_type, parameter)):
            continue
        inner = _hop(served_type, name, rest, value, context, found)
        if inner is not None and is_canonical(parameter):
            names = f"SELECT unnest({spellings(served_type, inner[0])}) {inner[1]}"
            tests.append(_points_into(parameter, names, context, is_key=True))
        elif inner is not None:
            ids = f"SELECT '{candidate}/' || {inner[0]}.id {inner[1]}"
            tests.append(_points_into(parameter, ids, context, is_key=_is_key(served_type, rest)))
    if not tests:
        raise refused(name, "no type that is served here can be chained so")
    return any_of(tests)


def _is_key(served_type: ServedType | None, name: str) -> bool:
    """Whether a parameter finds few by its nature: ids and business identifiers."""
    parameter = served_type.parameters.get(name) if served_type is not None else None
    return name == "_id" or (parameter is not None and parameter.element_types == {"Identifier"})


def _points_into(parameter: SearchParameter, addresses: str, context: Context, *, is_key: bool) -> str:
    """Few addresses are found first, so that an index on the reference leads on from them."""
    row = context.row
    if parameter.storage is Storage.COLUMN and is_key:
        return f"{row}.{parameter.column} = ANY(ARRAY({addresses}))"
    if parameter.storage is Storage.COLUMN:
        return f"{row}.{parameter.column} IN ({addresses})"
    return (
        f"{row}.id IN (SELECT i.id FROM {context.index_table} AS i WHERE i.tenant = s.tenant"
        f" AND i.parameter = '{parameter.name}' AND i.code IN ({addresses}))"
    )


def _reversed(served_type: ServedType, text: str, value: str, context: Context, found: Values) -> str:
    """`_has:Type:reference:rest=value`: a resource that rest finds points at this one."""
    parts = text.split(":", 2)
    source = context.registry.types.get(parts[0]) if context.registry else None
    parameter = source.parameters.get(parts[1]) if source and len(parts) == 3 else None
    is_reference = parameter is not None and "Reference" in parameter.element_types
    is_named = parameter is not None and is_canonical(parameter) and is_target(served_type, parameter)
    if source is None or parameter is None or not (is_reference or is_named):
        raise refused("_has", "takes a type that is served here, one of its references and one of its parameters")
    inner = _hop(source, "_has", parts[2], value, context, found)
    if inner is None:
        raise refused("_has", f"{source.name} has no such search parameter")
    row, rest = inner
    if is_named:
        return f"({spellings(served_type, context.row)} && ARRAY({_referred(source, parameter, row, rest)}))"
    length = len(served_type.name) + 2
    low, high = f"{served_type.name}/", f"{served_type.name}{_AFTER_SLASH}"
    if parameter.storage is Storage.COLUMN:
        column = f"{row}.{parameter.column}"
        ids = f"SELECT DISTINCT substr({column}, {length}) {rest} AND {column} >= '{low}' AND {column} < '{high}'"
    else:
        ids = (
            f"SELECT DISTINCT substr(j.code, {length}) FROM {index_table(source.name)} AS j WHERE j.tenant = s.tenant"
            f" AND j.parameter = '{parameter.name}' AND j.code >= '{low}' AND j.code < '{high}'"
            f" AND j.id IN (SELECT {row}.id {rest})"
        )
    return f"{context.row}.id = ANY(ARRAY({ids}))"  # once, not for each row: there may be many and no statistics


def _referred(source: ServedType, parameter: SearchParameter, row: str, rest: str) -> str:
    """What the references of these rows say; once, not for each of the definitions that they may name."""
    if parameter.storage is Storage.COLUMN:
        return f"SELECT {row}.{parameter.column} {rest} AND {row}.{parameter.column} IS NOT NULL"
    return (
        f"SELECT j.code FROM {index_table(source.name)} AS j WHERE j.tenant = s.tenant"
        f" AND j.parameter = '{parameter.name}' AND j.id IN (SELECT {row}.id {rest})"
    )


def _hop(
    served_type: ServedType, name: str, rest: str, value: str, context: Context, found: Values
) -> tuple[str, str] | None:
    """The alias and the FROM clause of the rows of another type that match and that the caller may search; None when
    the type has no such parameter. Raises FhirError FORBIDDEN."""
    if context.depth >= HOPS_MAX:
        raise too_costly(f"{name}: a chain has at most {HOPS_MAX} links")
    if not served_type.allows(Interaction.SEARCH_TYPE):
        return None
    row = f"r{context.depth + 1}"
    inner = inside(context, served_type.name, row, context.depth + 1)
    test = criterion(served_type, rest, value, inner, found)
    if test is None:
        return None
    granted = context.filters(served_type.name)
    tests = [test, granted_condition(served_type, granted, inner, found)] if granted else [test]
    table = current_table(served_type.name)
    clause = f"FROM {table} AS {row} WHERE {row}.tenant = s.tenant AND {row}.body IS NOT NULL AND {' AND '.join(tests)}"
    return row, clause


def inside(context: Context, resource_type: str, row: str, depth: int) -> Context:
    """The context of conditions on another type's rows."""
    inner = replace(context, index_table=index_table(resource_type), number_table=number_table(resource_type))
    return replace(inner, row=row, depth=depth, is_probed=False, narrowing=None)


def makes_few(served_type: ServedType, name: str) -> bool:
    """Whether a parameter leaves so few candidates that the others are best looked up for each: what one patient has,
    and what is asked for by id."""
    plain, _, modifier = name.partition(":")
    if plain in {"_id", COMPARTMENT}:
        return True
    parameter = served_type.parameters.get(plain)
    if parameter is None or "." in name or (modifier and not modifier[0].isupper()):
        return False
    return bool(parameter.patient_column) or (plain == "patient" and parameter.storage is Storage.COLUMN)
