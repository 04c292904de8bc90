"""References: by id, by address, by logical identifier, and canonical ones by URL and version.

https://hl7.org/fhir/R4/search.html sections 3.1.1.4.12 and 3.1.1.4.13
"""

from stepwell_shared.fhir import values
from stepwell_shared.fhir.definitions import resource_types
from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.search.rows import Context, index_row, valued
from stepwell_shared.fhir.search.terms import Check, Values, refused, unescape
from stepwell_shared.fhir.search.tokens import token_test
from stepwell_shared.fhir.table_names import current_table, index_table

_BEYOND_PIPE = "}"  # the character after `|`: bounds a range scan over `url|version`
_BEYOND_DOT = "/"


def reference(
    served_type: ServedType, parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values
) -> str:
    """One alternative of a reference; raises FhirError INVALID for what is not supported or not well-formed."""
    plain = unescape(text)
    if "canonical" in parameter.element_types:
        return _canonical(parameter, modifier, plain, context, found)
    if modifier == "identifier":
        test = token_test(parameter.name, text, found, is_exact=True)
        return index_row(context, f"{parameter.name}:identifier", " AND " + test, is_key=True)
    if modifier in {"above", "below"}:
        raise refused(parameter.name, f":{modifier} needs a type that is served here and refers to its own parent")
    if modifier and modifier not in (parameter.targets or resource_types()):
        raise refused(parameter.name, "this modifier is not supported")
    if "/" in plain or ":" in plain:
        return _is_one_of(parameter, [context.localise(plain)], context, found)
    targets = (modifier,) if modifier else parameter.targets or sorted(resource_types())
    addresses = [f"{target}/{plain}" for target in targets]
    if len(addresses) > 1:
        found.checks.append(_ambiguity(served_type, parameter, addresses, found))
    return _is_one_of(parameter, addresses, context, found)


def _is_one_of(parameter: SearchParameter, addresses: list[str], context: Context, found: Values) -> str:
    keys = [values.index_key(address) for address in addresses]
    same = f"{{0}} = {found.add(keys[0])}" if len(keys) == 1 else found.among("{0}", keys)
    if not parameter.patient_column:
        return valued(parameter, context, same)
    # A subject that is a patient is found as `patient`; the index on subjects holds only the others.
    patient, subject = f"{context.row}.{parameter.patient_column}", f"{context.row}.{parameter.column}"
    if all(address.split("/")[-2:-1] == ["Patient"] for address in addresses):
        return f"({same.format(patient)})"
    return f"({same.format(patient)} OR ({patient} IS NULL AND {same.format(subject)}))"


def _ambiguity(served_type: ServedType, parameter: SearchParameter, addresses: list[str], found: Values) -> Check:
    """Whether a bare id means resources of several types; such a search is refused (section 3.1.1.4.12)."""
    column, rows = "i.code", f"{index_table(served_type.name)} AS i WHERE i.parameter = '{parameter.name}'"
    if parameter.storage is Storage.COLUMN:
        column, rows = f"i.{parameter.column}", f"{current_table(served_type.name)} AS i WHERE true"
    test = found.among(column, [values.index_key(address) for address in addresses])
    addresses_of = f"SELECT {column} AS address FROM {rows} AND i.tenant = s.tenant AND {test}"
    if parameter.patient_column:
        patient = f"i.{parameter.patient_column}"
        patients = addresses_of.replace(column, patient)
        addresses_of = f"{patients} UNION ALL {addresses_of} AND {patient} IS NULL"
    return Check(parameter.name, f"SELECT count(DISTINCT address) > 1 FROM ({addresses_of}) AS found")


def _canonical(parameter: SearchParameter, modifier: str, plain: str, context: Context, found: Values) -> str:
    """`url` finds every version; `url|version` that one; `url|1` with `:below` also 1.0 and 1.1, but not 10."""
    if modifier not in {"", "below"}:
        raise refused(parameter.name, "is a canonical reference, which takes no modifier but :below and :missing")
    address = context.localise(plain)
    same = f"{{0}} = {found.add(values.index_key(address))}"
    if "|" not in plain:
        low, high = found.add(f"{address}|"), found.add(f"{address}{_BEYOND_PIPE}")
        same = f"({same} OR ({{0}} >= {low} AND {{0}} < {high}))"
    elif modifier:
        low, high = found.add(f"{address}."), found.add(f"{address}{_BEYOND_DOT}")
        same = f"({same} OR ({{0}} >= {low} AND {{0}} < {high}))"
    return valued(parameter, context, same)
