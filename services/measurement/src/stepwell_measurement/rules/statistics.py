"""Figures about one series of values: the codes of FHIR's observation-statistics that we reckon.

https://terminology.hl7.org/CodeSystem-observation-statistics.html. Percentiles are interpolated between the values
next to them (Hyndman and Fan, type 7); deviation and variance are those of a sample, from two values on.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

PLACES = Decimal("0.0001")


def statistic(code: str, values: Sequence[Decimal]) -> Decimal | None:
    """One figure, rounded to four places; None when there are too few values for it. Raises KeyError when unknown."""
    found = _FUNCTIONS[code](sorted(values)) if values else (Decimal(0) if code in {"count", "total-count"} else None)
    return None if found is None else _rounded(found)


def known_statistics() -> tuple[str, ...]:
    """The codes, as their system lists them."""
    return tuple(_FUNCTIONS)


def _rounded(value: Decimal) -> Decimal:
    rounded = value.quantize(PLACES).normalize()
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded


def _average(values: Sequence[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values)


def _variance(values: Sequence[Decimal]) -> Decimal | None:
    if len(values) < 2:
        return None
    mean = _average(values)
    return sum(((value - mean) ** 2 for value in values), Decimal(0)) / (len(values) - 1)


def _deviation(values: Sequence[Decimal]) -> Decimal | None:
    variance = _variance(values)
    return None if variance is None else variance.sqrt()


def _percentile(share: str) -> Callable[[Sequence[Decimal]], Decimal]:
    def at(values: Sequence[Decimal]) -> Decimal:
        place = Decimal(share) * (len(values) - 1)
        below = int(place)
        above = min(below + 1, len(values) - 1)
        return values[below] + (place - below) * (values[above] - values[below])

    return at


_FUNCTIONS: Mapping[str, Callable[[Sequence[Decimal]], Decimal | None]] = MappingProxyType(
    {
        "average": _average,
        "maximum": lambda values: values[-1],
        "minimum": lambda values: values[0],
        "count": lambda values: Decimal(len(values)),
        "total-count": lambda values: Decimal(len(values)),
        "median": _percentile("0.5"),
        "std-dev": _deviation,
        "sum": lambda values: sum(values, Decimal(0)),
        "variance": _variance,
        "20-percent": _percentile("0.2"),
        "80-percent": _percentile("0.8"),
        "4-lower": _percentile("0.25"),
        "4-upper": _percentile("0.75"),
    }
)
