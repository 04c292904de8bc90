"""Figures as Prometheus would read them from text: names, labels and values."""

import re
from typing import NamedTuple

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (-?[0-9.e+-]+|\+Inf)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:\\.|[^"\\])*)"')
_SUFFIXES = ("_bucket", "_sum", "_count")


class Sample(NamedTuple):
    """One line."""

    name: str
    labels: dict[str, str]
    value: float


def samples(text: str) -> list[Sample]:
    """Every sample of a page of figures. Raises ValueError for a line that is none."""
    found = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = _SAMPLE.fullmatch(line)
        if match is None:
            raise ValueError(f"no sample: {line}")
        found.append(Sample(match[1], dict(_LABEL.findall(match[2])), float(match[3])))
    return found


def types(text: str) -> dict[str, str]:
    """The type of each figure by its name, which may have no samples yet."""
    return dict(line.split(" ")[2:4] for line in text.splitlines() if line.startswith("# TYPE "))


def names(text: str) -> set[str]:
    """Every name that a query may use."""
    declared = types(text)
    with_parts = {name + suffix for name, type_ in declared.items() if type_ == "histogram" for suffix in _SUFFIXES}
    return {name for name, type_ in declared.items() if type_ != "histogram"} | with_parts
