"""The Measures that ship (measures.toml), as the rules take them."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_measurement.rules.measures.figures import Among, Criteria, Kind, Measure


@cache
def measures() -> Mapping[str, Measure]:
    """All Measures by id, in the order in which they are shown."""
    content = _read()
    return {name: _measure(name, entry, content) for name, entry in content["measures"].items()}


@cache
def dimensions() -> Mapping[str, str]:
    """What figures can be stratified by, with its title."""
    found: Mapping[str, str] = _read()["dimensions"]
    return found


def _measure(name: str, entry: Mapping[str, Any], content: Mapping[str, Any]) -> Measure:
    criteria = {field: entry.get(field, "") for field in Criteria.__dataclass_fields__}
    criteria["eligible"] = criteria["eligible"].format(finished=content["finished"])
    return Measure(
        id=name,
        title=entry["title"],
        purpose=entry["purpose"],
        kind=Kind(entry["kind"]),
        criteria=Criteria(**criteria),
        denominator=entry["denominator"],
        numerator=entry["numerator"],
        notation=entry["notation"],
        source=entry["source"],
        version=content["version"],
        date=content["date"],
        dimensions=tuple(entry.get("dimensions", content["dimensions"])),
        within_days=tuple(entry.get("within_days", ())),
        unit=entry.get("unit", ""),
        days=entry.get("days", 0),
        among=tuple(Among(each["of"], tuple(each["parts"]), each["left"]) for each in entry.get("among", ())),
    )


@cache
def _read() -> Mapping[str, Any]:
    return tomllib.loads((files(__package__) / "measures.toml").read_text(encoding="utf-8"))
