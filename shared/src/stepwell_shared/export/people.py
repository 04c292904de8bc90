"""Whose a resource is, by the Patient compartment: as a condition on rows, and of versions that stand in no table.

https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from collections.abc import Sequence

from stepwell_shared.fhir.indexing import Localise, columns_of, rows_of
from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.search.criteria import compartment_parameters
from stepwell_shared.fhir.search.terms import Values
from stepwell_shared.fhir.table_names import column_names, current_table, index_table
from stepwell_shared.fhir.validation import json_text

PATIENT, PROVENANCE = "Patient", "Provenance"
_LOW, _HIGH = "Patient/", "Patient0"  # a slash is followed by zero


def _parameters(served_type: ServedType) -> list[SearchParameter]:
    """What says whose a resource is; types that R4 left out of the compartment, such as Task, say so as well."""
    patient = served_type.parameters.get("patient")
    return compartment_parameters(served_type, PATIENT) or ([patient] if patient is not None else [])


def can_be_theirs(served_type: ServedType) -> bool:
    """Whether resources of this type can be a patient's."""
    return served_type.name == PATIENT or bool(_parameters(served_type))


def theirs(served_type: ServedType, members: Sequence[str] | None, row: str, found: Values) -> str:
    """The condition that a row is of one of these patients, or of any when they are None."""
    tests = []
    if served_type.name == PATIENT:
        ids = [member.removeprefix(_LOW) for member in members or ()]
        tests.append("true" if members is None else found.among(f"{row}.id", ids))
    for each in _parameters(served_type):
        if each.storage is Storage.COLUMN:
            tests.append(_is_member(f"{row}.{each.column}", members, found))
        else:
            rows = f"{index_table(served_type.name)} AS i WHERE i.tenant = s.tenant AND i.id = {row}.id"
            test = _is_member("i.code", members, found)
            tests.append(f"EXISTS (SELECT 1 FROM {rows} AND i.parameter = '{each.name}' AND {test})")
    return f"({' OR '.join(dict.fromkeys(tests)) or 'false'})"


def about_theirs(targets: Sequence[ServedType], members: Sequence[str] | None, row: str, found: Values) -> str:
    """The condition that a Provenance tells where one of their resources comes from."""
    tests = []
    for number, each in enumerate(targets):
        inner = f"t{number}"
        named = f"i.code >= '{each.name}/' AND i.code < '{each.name}0'"
        one = f"{inner}.tenant = s.tenant AND {inner}.id = substr(i.code, {len(each.name) + 2})"
        own = f"SELECT 1 FROM {current_table(each.name)} AS {inner} WHERE {one}"
        tests.append(f"({named} AND EXISTS ({own} AND {theirs(each, members, inner, found)}))")
    rows = f"{index_table(PROVENANCE)} AS i WHERE i.tenant = s.tenant AND i.id = {row}.id AND i.parameter = 'target'"
    return f"EXISTS (SELECT 1 FROM {rows} AND ({' OR '.join(tests) or 'false'}))"


def patients_of(served_type: ServedType, body: bytes, localise: Localise) -> set[str]:
    """The patients in whose compartments a resource is, such as `Patient/x`."""
    resource, _ = json_text.read(body)
    columns = columns_of(served_type, resource, localise)
    names = [name for parameter in served_type.columns for name in column_names(parameter)]
    values = dict(zip(names, columns, strict=True))
    parameters = _parameters(served_type)
    found = {values[each.column] for each in parameters if each.storage is Storage.COLUMN}
    wanted = {each.name for each in parameters}
    found |= {code for name, _, code, _ in rows_of(served_type, resource, localise, columns) if name in wanted}
    if served_type.name == PATIENT:
        found.add(f"{_LOW}{resource['id']}")
    return {str(each) for each in found if each is not None and str(each).startswith(_LOW)}


def _is_member(column: str, members: Sequence[str] | None, found: Values) -> str:
    if members is None:
        return f"({column} >= '{_LOW}' AND {column} < '{_HIGH}')"
    return found.among(column, members)
