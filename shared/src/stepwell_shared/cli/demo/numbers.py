"""The distributions of the synthetic region (`region.toml`), read once and held to what they must be."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_shared.cli.demo.drawing import Shares, log_normal_through

TIERS = ("tier-1", "tier-2", "tier-3", "tier-4")
RURAL = "rural"

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CourseKind:
    """A way that scores may take; `end` is the share of the first score at which the last one is."""

    name: str
    end: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Every distribution, ready to be drawn from. The names are those of the tables in `region.toml`."""

    last_day: date
    days: int
    practices: Mapping[str, Any]
    sexes: Shares[str]
    ages: Shares[Range]
    languages: Shares[str]
    ethnicities: Shares[str]
    pathways: Shares[str]
    rural_share: float
    tiers: Shares[str]
    baselines: Mapping[str, Mapping[str, Range]]
    forms: Mapping[str, tuple[str, str]]
    lighter_beside_share: float
    measures: Shares[int]
    weeks_between: int
    courses: Shares[CourseKind]
    change: Mapping[str, Any]
    relapse: Mapping[str, Any]
    wait: Mapping[str, Any]
    wait_location: float
    wait_spread: float
    contacts: Mapping[str, Any]
    endings: Mapping[str, float]
    steps: Mapping[str, float]
    safety: Mapping[str, float]
    experience: Mapping[str, float]
    utilisation: Mapping[str, float]
    given_names: tuple[str, ...]


@cache
def numbers() -> Numbers:
    """What ships. Raises ValueError when shares do not add up."""
    return parse(tomllib.loads((files(__package__) / "region.toml").read_text(encoding="utf-8")))


def parse(table: Mapping[str, Any]) -> Numbers:
    """The distributions of a file's content. Raises ValueError when shares do not add up, KeyError for a gap."""
    measures, wait = table["measures"], table["wait"]
    location, spread = log_normal_through(list(zip(wait["within_days"], wait["shares"], strict=True)))
    return Numbers(
        last_day=table["years"]["last"],
        days=table["years"]["days"],
        practices=table["practices"],
        sexes=_shares(table["sexes"]),
        ages=Shares([((each["from"], each["below"]), each["share"]) for each in table["ages"]]),
        languages=_shares(table["languages"]),
        ethnicities=_shares(table["ethnicities"]),
        pathways=_shares(table["pathways"]),
        rural_share=table["pathways"]["rural_share_in_rural_practices"],
        tiers=_shares(table["tiers"]),
        baselines={
            form: {tier: (given[0], given[1]) for tier, given in tiers.items()}
            for form, tiers in table["baselines"].items()
            if form != "source"
        },
        forms={name: (given[0], given[1]) for name, given in table["forms"].items() if isinstance(given, list)},
        lighter_beside_share=table["forms"]["lighter_beside_share"],
        measures=Shares(list(enumerate(measures["shares"], 1))),
        weeks_between=measures["weeks_between"],
        courses=Shares(
            [(CourseKind(each["name"], (each["end"][0], each["end"][1])), each["share"]) for each in table["courses"]]
        ),
        change=table["change"],
        relapse=table["relapse"],
        wait=wait,
        wait_location=location,
        wait_spread=spread,
        contacts=table["contacts"],
        endings=table["endings"],
        steps=table["steps"],
        safety=table["safety"],
        experience=table["experience"],
        utilisation=table["utilisation"],
        given_names=tuple(table["words"]["given"]),
    )


def _shares(table: Mapping[str, Any]) -> Shares[str]:
    """The entries that are shares; words beside them, and shares of something else, are not."""
    named = {name: share for name, share in table.items() if isinstance(share, float) and not name.startswith("rural_")}
    return Shares(list(named.items()))
