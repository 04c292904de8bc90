"""What referral ships as data, read once and given to the rules as their parameters.

- services.json: the default catalogue, one Organization and one HealthcareService per tier with fixed ids, which
  adding a tenant loads so that there is somewhere to refer to; a site replaces it by its own.
- waits.json: urgency classes with their maximum waits. matching.json: which ways of meeting get round which barrier.
- interim.json: support while waiting, per tier. words.json: what people are told about the wait.
- structure-definitions.json: our two extensions, where R4 has no element for the fact.
"""

import json
from datetime import timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_referral.rules.interim import InterimOffer
from stepwell_referral.rules.waits import UrgencyClass


def default_catalogue() -> list[dict[str, Any]]:
    """The Organization and HealthcareServices of services.json, in the order in which they can be stored."""
    return [entry["resource"] for entry in _read("services.json")["entry"]]


@cache
def urgency_classes() -> tuple[UrgencyClass, ...]:
    """The urgency classes of waits.json, most urgent first."""
    return tuple(
        UrgencyClass(
            code=row["code"],
            rank=rank,
            maximum_wait=timedelta(hours=row["maximum_wait_hours"]),
            request_priorities=tuple(row["request_priorities"]),
            queued=row["queued"],
        )
        for rank, row in enumerate(_read("waits.json")["urgency_classes"], start=1)
    )


@cache
def interim_offers() -> tuple[InterimOffer, ...]:
    """The offers of interim.json, in the order in which they are tried."""
    return tuple(
        InterimOffer(
            code=row["code"],
            tiers=frozenset(row["tiers"]),
            unguided=row["unguided"],
            check_in_days=row["check_in_days"],
            title=row["title"],
            text=row["text"],
        )
        for row in _read("interim.json")["offers"]
    )


@cache
def barrier_remedies() -> dict[str, tuple[str, ...]]:
    """For each barrier the modalities that get round it (matching.json)."""
    return {barrier: tuple(modalities) for barrier, modalities in _read("matching.json")["barrier_remedies"].items()}


@cache
def wait_templates() -> dict[str, Any]:
    """The sentences about waits by language (words.json), as `rules.waits.wait_words` takes them."""
    return {**_read("words.json")["waits"]}


def structure_definitions() -> list[dict[str, Any]]:
    """Our extensions as StructureDefinitions, for publishing and for validators."""
    return [entry["resource"] for entry in _read("structure-definitions.json")["entry"]]


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files(__name__) / name).read_text(encoding="utf-8"), parse_float=Decimal)
    return content
