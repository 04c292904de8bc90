"""Tokens: codes with and without their system, by subsumption and by value set.

https://hl7.org/fhir/R4/search.html section 3.1.1.4.10
"""

from dataclasses import replace

from stepwell_shared.fhir import values
from stepwell_shared.fhir.code_systems import token_key
from stepwell_shared.fhir.definitions import required_codes
from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.search.rows import Context, any_of, index_row, valued
from stepwell_shared.fhir.search.terms import Values, pieces, refused, unescape
from stepwell_shared.fhir.search.value_sets import Coded, Codes
from stepwell_shared.fhir.table_names import column_names

# Elements that have a code system, and those that never name one.
CODED = frozenset({"code", "Coding", "CodeableConcept"})
WITHOUT_SYSTEM = frozenset({"boolean", "uri", "url", "canonical", "string", "id", "ContactPoint", "dateTime"})
_IDENTIFIER = frozenset({"Identifier"})


def token(parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values) -> str:
    """One alternative of a token; raises FhirError INVALID for what is not supported or not well-formed."""
    if modifier in {"above", "below", "in"}:
        if not parameter.element_types or not parameter.element_types <= CODED:
            raise refused(f"{parameter.name}:{modifier}", "is for elements that are coded, which this is not")
        of = _in_value_set if modifier == "in" else _subsumed
        return _coded(parameter, of(parameter, modifier, text, context), context, found)
    is_yes_or_no = "boolean" in parameter.element_types and parameter.element_types <= WITHOUT_SYSTEM
    if is_yes_or_no and not modifier and text not in {"true", "false"}:
        raise refused(parameter.name, "takes true or false")
    if parameter.element_types and parameter.element_types <= WITHOUT_SYSTEM and len(pieces(text, "|")) > 1:
        raise refused(parameter.name, "has values without a system, so takes no |")
    if parameter.storage is Storage.COLUMN:
        return _primitive(parameter, modifier, text, context, found)
    if modifier == "text":
        start = found.add("\n" + values.text_key(unescape(text)))
        return _concept(parameter, context, f"strpos({{display}}, {start}) > 0")
    is_identifier = parameter.element_types == _IDENTIFIER
    if modifier == "of-type" and is_identifier:
        return _typed(parameter, text, context, found)
    if modifier:
        raise refused(parameter.name, "this modifier is not supported")
    test = token_test(parameter.name, text, found, ("{system}", "{code}"), is_exact=is_identifier)
    return _concept(parameter, context, test, is_key=is_identifier)


def _concept(parameter: SearchParameter, context: Context, test: str, *, is_key: bool = False) -> str:
    """Whether a coding passes the test, in which `{system}`, `{code}` and `{display}` stand for its parts.

    The one coding of an element that is kept in columns stands there, and in rows only while they are empty.
    """
    in_rows = test.format(system="i.system", code="i.code", display="i.display")
    if parameter.storage is Storage.ROWS:
        return index_row(context, parameter.name, f" AND {in_rows}", is_key=is_key)
    code, system, display = (f"{context.row}.{name}" for name in column_names(parameter))
    in_columns = test.format(system=system, code=code, display=display)
    if context.narrowing is not None:
        context.narrowing.coded.append(in_columns)
    rows = index_row(replace(context, is_probed=True), parameter.name, f" AND {in_rows}")
    return f"(({in_columns}) OR ({code} IS NULL AND {rows}))"


def token_test(
    name: str, text: str, found: Values, columns: tuple[str, str] = ("i.system", "i.code"), *, is_exact: bool = False
) -> str:
    """`code`, `system|code`, `|code` and `system|` over two columns. `is_exact` where case always matters."""
    *systems, code = [unescape(part) for part in pieces(text, "|")]
    system = "|".join(systems)
    if not code and not system:
        raise refused(name, "needs a code or a system")
    keys = {values.index_key(code)} | (set() if is_exact else {token_key(system, code)})
    tests = [_one_of(columns[1], sorted(keys), found)] if code else []
    if systems:
        tests.append(f"{columns[0]} = {found.add(values.index_key(system))}")
    return " AND ".join(tests)


def _one_of(column: str, keys: list[str], found: Values) -> str:
    return f"{column} = {found.add(keys[0])}" if len(keys) == 1 else f"{column} = ANY({found.add_all(keys)})"


def _systems(parameter: SearchParameter) -> frozenset[str]:
    """The systems that the element's required binding implies; none when R4 does not enumerate them."""
    if parameter.systems:
        return frozenset(parameter.systems)
    return frozenset(required_codes(parameter.codes)) if parameter.codes is not None else frozenset()


def _primitive(parameter: SearchParameter, modifier: str, text: str, context: Context, found: Values) -> str:
    """An element that is a plain code: its system is implied, and naming another finds nothing."""
    if modifier:
        raise refused(parameter.name, "this modifier is not supported")
    *systems, code = [unescape(part) for part in pieces(text, "|")]
    system = "|".join(systems)
    implied = _systems(parameter)
    if not code and not system:
        raise refused(parameter.name, "needs a code or a system")
    if system and implied and system not in implied:
        return "false"
    column = f"{context.row}.{parameter.column}"
    return f"{column} = {found.add(values.index_key(code))}" if code else f"{column} IS NOT NULL"


def _typed(parameter: SearchParameter, text: str, context: Context, found: Values) -> str:
    """`:of-type`: the type of an identifier and its value, in one identifier."""
    parts = [unescape(part) for part in pieces(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise refused(f"{parameter.name}:of-type", "takes system|code|value")
    kind, code = found.add(values.index_key(f"{parts[0]}|{parts[1]}")), found.add(values.index_key(parts[2]))
    return index_row(context, f"{parameter.name}:of-type", f" AND i.code = {code} AND i.system = {kind}", is_key=True)


def _subsumed(parameter: SearchParameter, modifier: str, text: str, context: Context) -> Coded:
    """The codes below or above one, itself included: in the system that is named, or in all known ones that have it.

    Exact matches alone would look like an answer, so a system whose hierarchy is not known is refused.
    """
    *named, code = [unescape(part) for part in pieces(text, "|")]
    system, implied = "|".join(named), _systems(parameter)
    if not code:
        raise refused(f"{parameter.name}:{modifier}", "takes system|code or a code")
    known = [context.terminology.code_system(system)] if system else context.terminology.code_systems_with(code)
    if implied and not system:
        known = [each for each in known if each.url in implied]
    if not known:
        raise refused(f"{parameter.name}:{modifier}", "no code system known here has this code; take system|code")
    return {each.url: Codes(each.below(code) if modifier == "below" else each.above(code)) for each in known}


def _in_value_set(parameter: SearchParameter, modifier: str, text: str, context: Context) -> Coded:
    """The value set with this canonical URL, with or without a version, or at this address on this server."""
    reference = unescape(text)
    if not reference:
        raise refused(f"{parameter.name}:{modifier}", "takes the URL of a value set")
    return context.terminology.value_set(context.localise(reference))


def _coded(parameter: SearchParameter, coded: Coded, context: Context, found: Values) -> str:
    """Whether the element has one of these codes of these systems."""
    if parameter.element_types == {"code"}:
        return any_of(
            valued(parameter, context, found.among("{0}", sorted(codes.listed), is_all_but=codes.is_all_but))
            for codes in _implied(parameter, coded)
        )
    tests = []
    for system, codes in coded.items():
        keys = {key for code in codes.listed for key in (values.index_key(code), token_key(system, code))}
        place = found.add(values.index_key(system))
        listed = found.among("{code}", sorted(keys), is_all_but=codes.is_all_but)
        tests.append(f"({{system}} = {place} AND {listed})")
    return _concept(parameter, context, any_of(tests))


def _implied(parameter: SearchParameter, coded: Coded) -> list[Codes]:
    """The codes of the systems that a plain code can be of: of all, when its binding does not tell."""
    implied = _systems(parameter)
    return [codes for system, codes in coded.items() if not implied or system in implied]
