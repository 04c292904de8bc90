"""One search parameter of a request as an SQL condition; values travel as numbered entries of one array.

https://hl7.org/fhir/R4/search.html section 3.1.1.4
"""

from stepwell_shared.fhir import values
from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.search import numbers
from stepwell_shared.fhir.search.dates import date_condition
from stepwell_shared.fhir.search.references import reference
from stepwell_shared.fhir.search.rows import Context, any_of, index_row, number_row, valued
from stepwell_shared.fhir.search.terms import Values, alternatives, pieces, refused, unescape
from stepwell_shared.fhir.search.tokens import token, token_test
from stepwell_shared.fhir.table_names import column_names

__all__ = ["Context", "Values", "alternatives", "any_of", "condition", "date_condition", "refused"]

_BEYOND_SLASH = "0"
_LAST = chr(0x10FFFF)


def condition(
    served_type: ServedType, parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values
) -> str:
    """SQL for `name[:modifier]=text`; raises FhirError INVALID for what is not supported or not well-formed."""
    if modifier == "missing" and parameter.type != "composite":
        if text not in {"true", "false"}:
            raise refused(f"{parameter.name}:missing", "takes true or false")
        present = _present(served_type, parameter, context.probing())
        return f"NOT {present}" if text == "true" else present
    if modifier in {"not", "not-in"} and parameter.type == "token":
        positive = condition(served_type, parameter, modifier[4:], text, context.probing(), found)
        return f"NOT coalesce({positive}, false)"
    if parameter.storage is Storage.ANY_OF:
        parts = [served_type.parameters[name] for name in parameter.parts]
        probing = context.probing()
        return any_of(condition(served_type, part, modifier, text, probing, found) for part in parts)
    if parameter.type == "composite" and modifier:
        raise refused(parameter.name, "a composite takes no modifier")
    return any_of(_one(served_type, parameter, modifier, part, context, found) for part in alternatives(text))


def _one(
    served_type: ServedType, parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values
) -> str:
    """One alternative."""
    if parameter.storage is Storage.ALL_OF:
        parts = [served_type.parameters[name] for name in parameter.parts]
        given = _pair(parameter, text)
        # The value finds fewer than the code that goes with it.
        code = _one(served_type, parts[0], "", given[0], context.probing(), found)
        return f"({code} AND {_one(served_type, parts[1], '', given[1], context, found)})"
    if parameter.type == "composite":
        return _composite(parameter, text, context, found)
    if parameter.type == "reference":
        return reference(served_type, parameter, modifier, text, context, found)
    if parameter.type in _BY_TYPE:
        return _BY_TYPE[parameter.type](parameter, modifier, text, context, found)
    if modifier:
        raise refused(parameter.name, "this modifier is not supported")
    if parameter.type == "date":
        low, high = (f"{context.row}.{name}" for name in column_names(parameter))
        return date_condition(parameter.name, text, (low, high), context.now, found)
    return number_row(parameter, context, numbers.test(parameter.name, parameter.type, text, found))


def _present(served_type: ServedType, parameter: SearchParameter, context: Context) -> str:
    if parameter.storage is Storage.ANY_OF:
        return any_of(_present(served_type, served_type.parameters[name], context) for name in parameter.parts)
    kept = [f"{context.row}.{column_names(parameter)[0]} IS NOT NULL"] if parameter in served_type.columns else []
    kept += [index_row(context, parameter.name, "")] if parameter in served_type.rows else []
    kept += [number_row(parameter, context, "true")] if parameter in served_type.numbers else []
    if parameter.type == "reference" and "Reference" in parameter.element_types:
        kept.append(index_row(context, f"{parameter.name}:identifier", ""))
    return any_of(kept)


def _string(parameter: SearchParameter, modifier: str, escaped: str, context: Context, found: Values) -> str:
    """Starts with, as a range scan: no LIKE, which would lose its index behind row-level security."""
    text = unescape(escaped)
    key = values.text_key(text)
    if modifier == "exact":
        exact = found.add(values.index_key(text))
        return index_row(context, parameter.name, f" AND i.code = {found.add(key)} AND i.system = {exact}")
    if modifier == "contains":
        return index_row(context, parameter.name, f" AND strpos(i.code, {found.add(key)}) > 0")
    if modifier:
        raise refused(parameter.name, "this modifier is not supported")
    bounds = f"{{0}} >= {found.add(key)} AND {{0}} < {found.add(key + _LAST)}"
    return valued(parameter, context, bounds)


def _uri(parameter: SearchParameter, modifier: str, escaped: str, context: Context, found: Values) -> str:
    """Exact; `:below` and `:above` follow the path segments of a URL (section 3.1.1.4.9)."""
    text = unescape(escaped)
    if not modifier:
        return valued(parameter, context, f"{{0}} = {found.add(values.index_key(text))}", is_key=True)
    if modifier not in {"above", "below"} or "://" not in text:
        raise refused(parameter.name, "takes :above and :below with a URL, and no other modifier")
    stem = text.rstrip("/")
    if modifier == "below":
        low, high = found.add(f"{stem}/"), found.add(f"{stem}{_BEYOND_SLASH}")
        return valued(parameter, context, f"({{0}} = {found.add(stem)} OR ({{0}} >= {low} AND {{0}} < {high}))")
    scheme, _, place = stem.partition("://")
    segments = place.split("/")
    above = [f"{scheme}://{'/'.join(segments[:length])}" for length in range(1, len(segments) + 1)]
    spelt = [values.index_key(each + slash) for each in above for slash in ("", "/")]
    return valued(parameter, context, f"{{0}} = ANY({found.add_all(spelt)})")


def _pair(parameter: SearchParameter, text: str) -> list[str]:
    given = pieces(text, "$")
    if len(given) != 2 or not all(given):
        raise refused(parameter.name, "takes two values with a $ between them")
    return given


def _composite(parameter: SearchParameter, text: str, context: Context, found: Values) -> str:
    """Both parts in one element: they are kept side by side in one row."""
    key, value = _pair(parameter, text)
    key_test = token_test(parameter.name, key, found, ("i.key_system", "i.key_code"))
    if parameter.parts[1] == "quantity":
        value_test = numbers.test(parameter.name, "quantity", value, found)
    else:
        value_test = token_test(parameter.name, value, found)
    return number_row(parameter, context, f"{key_test} AND {value_test}")


_BY_TYPE = {"token": token, "string": _string, "uri": _uri}
