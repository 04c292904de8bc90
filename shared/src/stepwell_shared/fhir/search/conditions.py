"""One search parameter of a request as an SQL condition; values travel as numbered entries of one array.

https://hl7.org/fhir/R4/search.html section 3.1.1.4
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from stepwell_shared.fhir import values
from stepwell_shared.fhir.definitions import required_codes
from stepwell_shared.fhir.indexing import Localise
from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import Registry, ServedType
from stepwell_shared.fhir.schema import column_names
from stepwell_shared.fhir.search import numbers
from stepwell_shared.fhir.search.dates import date_condition
from stepwell_shared.fhir.search.terms import Values, alternatives, pieces, refused, unescape

__all__ = ["Context", "Values", "alternatives", "condition", "date_condition", "refused"]

_BEYOND_PIPE = "}"  # the character after `|`: bounds a range scan over `url|version`
_BEYOND_SLASH = "0"
_LAST = chr(0x10FFFF)


@dataclass(frozen=True)
class Context:
    """What a condition needs to know beside the parameter.

    `row` is the alias of the resource's row. `is_probed` says that something else already makes the candidates few, so
    that index rows are looked up for each. `filters` gives the granular scopes on another type, or raises FORBIDDEN.
    """

    index_table: str
    localise: Localise
    now: datetime
    number_table: str = ""
    row: str = "r"
    is_probed: bool = False
    depth: int = 0
    registry: Registry | None = None
    filters: Callable[[str], Sequence[str]] = lambda resource_type: ()

    def probing(self) -> "Context":
        """The same for a condition that only looks at candidates."""
        return replace(self, is_probed=True)


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
    if modifier == "in":
        return _in_value_set(parameter, text, context, found)
    return any_of(_one(served_type, parameter, modifier, part, context, found) for part in alternatives(text))


def _one(
    served_type: ServedType, parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values
) -> str:
    """One alternative."""
    if parameter.storage is Storage.ALL_OF:
        parts = [served_type.parameters[name] for name in parameter.parts]
        given = _pair(parameter, text)
        tests = [_one(served_type, each, "", value, context, found) for each, value in zip(parts, given, strict=True)]
        return "(" + " AND ".join(tests) + ")"
    if parameter.type == "composite":
        return _composite(parameter, text, context, found)
    if parameter.type in _BY_TYPE:
        return _BY_TYPE[parameter.type](parameter, modifier, text, context, found)
    if modifier:
        raise refused(parameter.name, "this modifier is not supported")
    if parameter.type == "date":
        low, high = (f"{context.row}.{name}" for name in column_names(parameter))
        return date_condition(parameter.name, text, (low, high), context.now, found)
    return _number_row(parameter, context, numbers.test(parameter.name, parameter.type, text, found))


def any_of(conditions: Iterable[str]) -> str:
    return "(" + (" OR ".join(conditions) or "false") + ")"


def _row(context: Context, name: str, test: str, *, is_key: bool = False) -> str:
    """Whether an index row of this parameter passes the test.

    For few candidates a look-up for each (`OFFSET 0` holds the planner to it, whatever the statistics say of the
    parameter as a whole); else by the keys that are found first, where they are few by nature or in a chain, whose
    plan must not hang on statistics; else as it sees fit.
    """
    rows = f"{context.index_table} AS i WHERE i.tenant = s.tenant AND i.parameter = '{name}'{test}"
    if (is_key or context.depth) and not context.is_probed:
        return f"({context.row}.id = ANY(ARRAY(SELECT i.id FROM {rows})))"
    fence = " OFFSET 0" if context.is_probed else ""
    return f"EXISTS (SELECT 1 FROM {rows} AND i.id = {context.row}.id{fence})"


def _number_row(parameter: SearchParameter, context: Context, test: str) -> str:
    fence = " OFFSET 0" if context.is_probed else ""
    return (
        f"EXISTS (SELECT 1 FROM {context.number_table} AS i WHERE i.tenant = s.tenant AND i.id = {context.row}.id"
        f" AND i.parameter = '{parameter.name}' AND {test}{fence})"
    )


def _present(served_type: ServedType, parameter: SearchParameter, context: Context) -> str:
    if parameter.storage is Storage.ANY_OF:
        return any_of(_present(served_type, served_type.parameters[name], context) for name in parameter.parts)
    kept = "false"
    if parameter.storage is Storage.ROWS:
        kept = _row(context, parameter.name, "")
    elif parameter.storage is Storage.NUMBERS:
        kept = _number_row(parameter, context, "true")
    else:
        kept = f"({context.row}.{column_names(parameter)[0]} IS NOT NULL)"
    if parameter.type == "reference" and "Reference" in parameter.element_types:
        return f"({kept} OR {_row(context, f'{parameter.name}:identifier', '')})"
    return kept


def _valued(parameter: SearchParameter, context: Context, test: str, *, is_key: bool = False) -> str:
    """Whether a value of this parameter passes the test, in which `{0}` stands for the value."""
    if parameter.storage is Storage.ROWS:
        return _row(context, parameter.name, f" AND {test.format('i.code')}", is_key=is_key)
    return f"({test.format(f'{context.row}.{parameter.column}')})"


def _token(parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values) -> str:
    if parameter.storage is Storage.COLUMN:
        # The element is a plain code: its system is implied, and naming it narrows nothing.
        code = unescape(pieces(text, "|")[-1])
        if modifier or not code:
            raise refused(parameter.name, "this modifier is not supported" if modifier else "needs a code")
        return f"{context.row}.{parameter.column} = {found.add(values.index_key(code))}"
    if modifier == "text":
        start = found.add("\n" + values.text_key(unescape(text)))
        return _row(context, parameter.name, f" AND strpos(i.display, {start}) > 0")
    is_identifier = parameter.element_types == {"Identifier"}
    if modifier == "of-type" and is_identifier:
        parts = [unescape(part) for part in pieces(text, "|")]
        if len(parts) != 3 or not all(parts):
            raise refused(f"{parameter.name}:of-type", "takes system|code|value")
        kind, code = found.add(values.index_key(f"{parts[0]}|{parts[1]}")), found.add(values.index_key(parts[2]))
        return _row(context, f"{parameter.name}:of-type", f" AND i.code = {code} AND i.system = {kind}", is_key=True)
    if modifier:
        raise refused(parameter.name, "this modifier is not supported")
    return _row(context, parameter.name, " AND " + token_test(parameter.name, text, found), is_key=is_identifier)


def _in_value_set(parameter: SearchParameter, text: str, context: Context, found: Values) -> str:
    """`:in` for the value set that binds the element; of others we do not know the codes."""
    if parameter.type != "token" or parameter.codes is None or unescape(text) != parameter.codes:
        raise refused(f"{parameter.name}:in", "takes only the value set that R4 binds the element to, if it binds one")
    codes = found.add_all([code for listed in required_codes(parameter.codes).values() for code in listed])
    return _valued(parameter, context, f"{{0}} = ANY({codes})")


def token_test(name: str, text: str, found: Values, columns: tuple[str, str] = ("i.system", "i.code")) -> str:
    """`code`, `system|code`, `|code` and `system|` over two columns."""
    *systems, code = [unescape(part) for part in pieces(text, "|")]
    system = "|".join(systems)
    if not code and not system:
        raise refused(name, "needs a code or a system")
    tests = [f"{columns[1]} = {found.add(values.index_key(code))}"] if code else []
    if systems:
        tests.append(f"{columns[0]} = {found.add(values.index_key(system))}")
    return " AND ".join(tests)


def _reference(parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values) -> str:
    plain = unescape(text)
    if modifier == "identifier" and "Reference" in parameter.element_types:
        return _row(
            context, f"{parameter.name}:identifier", " AND " + token_test(parameter.name, text, found), is_key=True
        )
    if modifier == "below" and "canonical" in parameter.element_types:
        low, high = found.add(plain), found.add(plain + _LAST)
        return _valued(parameter, context, f"({{0}} >= {low} AND {{0}} < {high})")
    if modifier and (modifier not in parameter.targets or "Reference" not in parameter.element_types):
        raise refused(parameter.name, "this modifier is not supported")
    if "/" in plain:
        wanted = [context.localise(plain)]
    elif modifier:
        wanted = [f"{modifier}/{plain}"]
    elif parameter.targets:
        wanted = [f"{target}/{plain}" for target in parameter.targets]
    else:
        wanted = [plain]
    same = f"{{0}} = ANY({found.add_all([*map(values.index_key, wanted)])})"
    if "://" in plain and "|" not in plain:
        # A canonical without a version finds every version.
        low, high = found.add(f"{wanted[0]}|"), found.add(f"{wanted[0]}{_BEYOND_PIPE}")
        same = f"({same} OR ({{0}} >= {low} AND {{0}} < {high}))"
    return _valued(parameter, context, same)


def _string(parameter: SearchParameter, modifier: str, escaped: str, context: Context, found: Values) -> str:
    """Starts with, as a range scan: no LIKE, which would lose its index behind row-level security."""
    text = unescape(escaped)
    key = values.text_key(text)
    if modifier == "exact":
        exact = found.add(values.index_key(text))
        return _row(context, parameter.name, f" AND i.code = {found.add(key)} AND i.system = {exact}")
    if modifier == "contains":
        return _row(context, parameter.name, f" AND strpos(i.code, {found.add(key)}) > 0")
    if modifier:
        raise refused(parameter.name, "this modifier is not supported")
    bounds = f"{{0}} >= {found.add(key)} AND {{0}} < {found.add(key + _LAST)}"
    return _valued(parameter, context, bounds)


def _uri(parameter: SearchParameter, modifier: str, escaped: str, context: Context, found: Values) -> str:
    """Exact; `:below` and `:above` follow the path segments of a URL (section 3.1.1.4.9)."""
    text = unescape(escaped)
    if not modifier:
        return _valued(parameter, context, f"{{0}} = {found.add(values.index_key(text))}", is_key=True)
    if modifier not in {"above", "below"} or "://" not in text:
        raise refused(parameter.name, "takes :above and :below with a URL, and no other modifier")
    stem = text.rstrip("/")
    if modifier == "below":
        low, high = found.add(f"{stem}/"), found.add(f"{stem}{_BEYOND_SLASH}")
        return _valued(parameter, context, f"({{0}} = {found.add(stem)} OR ({{0}} >= {low} AND {{0}} < {high}))")
    scheme, _, place = stem.partition("://")
    segments = place.split("/")
    above = [f"{scheme}://{'/'.join(segments[:length])}" for length in range(1, len(segments) + 1)]
    spelt = [values.index_key(each + slash) for each in above for slash in ("", "/")]
    return _valued(parameter, context, f"{{0}} = ANY({found.add_all(spelt)})")


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
    return _number_row(parameter, context, f"{key_test} AND {value_test}")


_BY_TYPE = {"token": _token, "reference": _reference, "string": _string, "uri": _uri}
