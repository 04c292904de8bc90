"""What simulations and the equity watch take from data: safety promises, severities, age bands, and the generator's
assumptions, each with where it comes from."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_routing.rules.equity import Band, Scale
from stepwell_routing.rules.simulation import SafetyPromises
from stepwell_routing.rules.synthetic import Assumptions


@cache
def promises() -> SafetyPromises:
    """What every policy owes."""
    found = _read()["promises"]
    return SafetyPromises(
        found["high"], found["moderate"], found["moderateRank"], found["positive"], found["unanswered"]
    )


@cache
def scales(pathway: str) -> tuple[Scale, ...]:
    """By what people of a pathway are called equally ill, the first that was measured."""
    found = _read()["severity"]
    named = found["pathways"].get(pathway, found["default"])
    return tuple(
        Scale(name, tuple(Band(*band) for band in entry["bands"]), entry["source"])
        for name, entry in ((name, found["scales"][name]) for name in named)
    )


@cache
def age_starts() -> tuple[int, ...]:
    """The years at which the bands of age begin."""
    return tuple(_read()["ageBands"]["starts"])


@cache
def area_extensions() -> Mapping[str, frozenset[str]]:
    """The extensions of a Patient, or of an address, that say what an area is like, by dimension."""
    return {dimension: frozenset(each["extensions"]) for dimension, each in _read()["areas"].items()}


@cache
def assumptions() -> Assumptions:
    """How synthetic people are made."""
    found = _read()["synthetic"]
    return Assumptions(
        missing_share=found["missingShare"],
        own_share=found["ownShare"],
        safety_open_share=found["safetyOpenShare"],
        safety_unanswered_share=found["safetyUnansweredShare"],
        risk_levels=found["riskLevels"],
        flag_share=found["flagShare"],
        strata=found["strata"],
    )


def assumption_notes() -> tuple[str, ...]:
    """The assumptions as sentences, to stand beside the figures."""
    found: Mapping[str, Any] = _read()["synthetic"]
    levels = ", ".join(f"{level} {share}" for level, share in found["riskLevels"].items())
    measures = (
        f"Each measure is missing with probability {found['missingShare']}; otherwise it lies as far towards its"
        f" worse end as a burden drawn evenly from 0 to 1 and, with weight {found['ownShare']}, chance of its own"
        f" have it. A yes-or-no fact is true with probability {found['flagShare']}."
    )
    safety = (
        f"Safety: an open positive item {found['safetyOpenShare']}, an unanswered one {found['safetyUnansweredShare']},"
        f" a recorded level {levels}. {found['source']}."
    )
    return ("These people do not exist. No figure here says anything about a real population.", measures, safety)


@cache
def _read() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((files("stepwell_routing") / "data" / "simulation.json").read_bytes())
    return found
