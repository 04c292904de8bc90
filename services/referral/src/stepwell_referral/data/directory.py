"""What matching ships as data: points, remedies of barriers, ways and hours (matching.json), and the words of reasons
(match-words.json)."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_shared.canonical import CANONICAL

from stepwell_referral.rules.matching import Parameters, Remedy, Travel
from stepwell_referral.rules.matching.hours import hours_between

WISHES = f"{CANONICAL}/Questionnaire/preference-and-barriers"
FALLBACK_LANGUAGE = "en"


@cache
def parameters() -> Parameters:
    """By what places are compared."""
    read = _read("matching.json")
    travel = read["travel"]
    return Parameters(
        points={name: float(value) for name, value in read["points"].items()},
        remedies={barrier: _remedy(row) for barrier, row in read["barriers"].items()},
        remote=frozenset(read["remote_modalities"]),
        modality_order=tuple(read["modality_order"]),
        travel=Travel(
            travel["speed_kilometres_per_hour"], travel["detour"], travel["minutes_max"], travel["reference_minutes"]
        ),
        work_hours=_hours(read["work_hours"]),
        times={name: _hours(row) for name, row in read["times"].items()},
        wait_reference_days=read["wait_reference_days"],
        shortlist=read["shortlist"],
    )


@cache
def reason_words(language: str) -> dict[str, Any]:
    """The sentences and names of a language, in the fallback where there are none."""
    languages: dict[str, dict[str, Any]] = _read("match-words.json")["languages"]
    return languages.get(language.partition("-")[0], languages[FALLBACK_LANGUAGE])


@cache
def left_out_words() -> dict[str, str]:
    """Why a place is left out, for coordinators, by rule code."""
    return {**_read("match-words.json")["left_out"]}


def _remedy(row: dict[str, Any]) -> Remedy:
    return Remedy(
        modalities=frozenset(row["modalities"]),
        supports=tuple(row["supports"]),
        prices=frozenset(row.get("prices", ())),
        outside_work=row.get("outside_work", False),
        by_language=row.get("by_language", False),
        by_accessibility=row.get("by_accessibility", False),
    )


def _hours(row: dict[str, Any]) -> int:
    return hours_between(row["days"], row["start"], row["end"])


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files(__package__) / name).read_text(encoding="utf-8"))
    return content
