"""Numbers and quantities in a search, over the bounds that an index row keeps.

https://hl7.org/fhir/R4/search.html sections 3.1.1.4.6 and 3.1.1.4.11
"""

import re

from stepwell_shared.fhir import values
from stepwell_shared.fhir.search.terms import Values, pieces, refused, unescape

_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)
_APPROXIMATELY = 0.1


def test(name: str, kind: str, text: str, found: Values) -> str:
    """SQL over `i.low` and `i.high`, and for a quantity its unit. Raises FhirError INVALID for what is no number.

    eq and ne compare with the interval that the written precision covers, the others with the number itself.
    """
    matched = _PREFIX.fullmatch(text)
    prefix, value = (matched.group(1) or "eq", matched.group(2)) if matched else ("", "")
    number, *unit = pieces(value, "|")
    interval = values.number_range(number)
    if interval is None or (unit and (kind != "quantity" or len(unit) != 2)):
        shape = "number, number|system|code or number||code" if kind == "quantity" else "number"
        raise refused(name, f"takes an optional prefix and a {shape}")
    tests = [_bounds(prefix, interval, found)]
    if unit:
        tests.append(_unit(unescape(unit[0]), unescape(unit[1]), found))
    return " AND ".join(tests)


def _bounds(prefix: str, interval: tuple[float, float, float], found: Values) -> str:
    exact, low, high = interval
    if prefix == "ap":
        margin = abs(exact) * _APPROXIMATELY
        low, high = exact - margin, exact + margin
        lowest, highest = _float(low, found), _float(high, found)
        begins = f"i.low >= {lowest} AND i.low <= {highest}"
        return f"(({begins}) OR (i.low < i.high AND i.low < {lowest} AND i.high >= {lowest}))"
    if prefix in {"eq", "ne"}:
        end = _float(high, found)
        inside = f"(i.low >= {_float(low, found)} AND i.low < {end} AND i.high < {end})"
        return inside if prefix == "eq" else f"NOT {inside}"
    place = _float(exact, found)
    return {
        "gt": f"(i.low > {place} OR (i.low < i.high AND i.high > {place}))",
        "lt": f"i.low < {place}",
        "ge": f"(i.low >= {place} OR (i.low < i.high AND i.high >= {place}))",
        "le": f"i.low <= {place}",
        "sa": f"i.low > {place}",
        "eb": f"(i.low < {place} AND i.high < {place})",
    }[prefix]


def _float(number: float, found: Values) -> str:
    return f"{found.add(repr(number))}::float8"


def _unit(system: str, code: str, found: Values) -> str:
    """With a system its code; without one a code or what people read as the unit."""
    place = found.add(values.index_key(code)) if code else ""
    if system:
        same = f"i.system = {found.add(values.index_key(system))}"
        return f"{same} AND i.code = {place}" if code else same
    return f"(i.code = {place} OR i.unit = {place})" if code else "true"
