"""What referral ships as data, read once and given to the rules as their parameters.

- services.json: the default catalogue, one Organization and one HealthcareService per tier with fixed ids, which
  adding a tenant loads so that there is somewhere to refer to; a site replaces it by its own.
- waits.json: urgency classes with their maximum waits. matching.json and match-words.json:
  see directory.
- interim.json: support while waiting, per tier. words.json: what people are told about the wait.
- queue.toml: who is next. pace.toml: what waits at a service with a calendar are reckoned from. booking.toml: holds,
  reminders, what follows a missed appointment. booking-words.json: what people are told of an appointment.
- sharing.toml: what partners are told of our places, and how long what they tell of theirs holds.
- structure-definitions.json: our two extensions, where R4 has no element for the fact.
"""

import json
import tomllib
from datetime import timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_referral.rules.forecast import PaceParameters
from stepwell_referral.rules.interim import InterimOffer
from stepwell_referral.rules.queue import QueueParameters
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
def wait_templates() -> dict[str, Any]:
    """The sentences about waits by language (words.json), as `rules.waits.wait_words` takes them."""
    return {**_read("words.json")["waits"]}


@cache
def queue_parameters() -> QueueParameters:
    """Points and maxima of queue.toml, with the longest waits of waits.json."""
    read = queue_data()
    priorities = {code: points for code, points in read["clinical_priority"].items() if code != "reason"}
    return QueueParameters(
        priority_points=priorities,
        ageing_full_wait=read["ageing"]["full_wait"],
        ageing_maximum=read["ageing"]["maximum"],
        ageing_target_share=read["ageing"]["target_share"],
        overtaken_points=read["fairness"]["overtaken"],
        overtaken_maximum=read["fairness"]["maximum"],
        maximum_wait={code: each.maximum_wait for each in urgency_classes() for code in each.request_priorities},
    )


@cache
def queue_data() -> dict[str, Any]:
    """queue.toml as it stands: points, reasons for passing others, contingencies."""
    return _toml("queue.toml")


@cache
def pace_data() -> dict[str, Any]:
    """pace.toml as it stands: windows, the prior of missed appointments, corrections, renewal, forecast."""
    return _toml("pace.toml")


@cache
def pace_parameters() -> PaceParameters:
    """The prior of missed appointments and the correction of bounds (pace.toml)."""
    prior, correction = pace_data()["no_show"], pace_data()["correction"]
    return PaceParameters(
        no_show_prior_share=prior["prior_share"],
        no_show_prior_weight=prior["prior_weight"],
        correction_step=correction["step"],
        probability_least=correction["least"],
        probability_most=correction["most"],
        target_probability=correction["target_probability"],
    )


def promises_looked_at() -> int:
    """How many of the last promises correct a bound (pace.toml)."""
    return int(pace_data()["correction"]["promises"])


@cache
def sharing_data() -> dict[str, Any]:
    """sharing.toml as it stands: what partners are told of places, and how long that holds."""
    return _toml("sharing.toml")


def shared_good_for() -> timedelta:
    """How long what another organisation has told of its waits is good to promise from."""
    return timedelta(hours=sharing_data()["kept"]["good_hours"])


@cache
def booking_data() -> dict[str, Any]:
    """booking.toml as it stands: holds, proposals, series, reminders, outreach."""
    return _toml("booking.toml")


@cache
def booking_words() -> dict[str, Any]:
    """What a person is told of an appointment, by language (booking-words.json)."""
    return {name: words for name, words in _read("booking-words.json").items() if isinstance(words, dict)}


def structure_definitions() -> list[dict[str, Any]]:
    """Our extensions as StructureDefinitions, for publishing and for validators."""
    files_of_them = ("structure-definitions.json", "booking-structure-definitions.json")
    return [entry["resource"] for name in files_of_them for entry in _read(name)["entry"]]


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((files(__name__) / name).read_text(encoding="utf-8"))


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files(__name__) / name).read_text(encoding="utf-8"), parse_float=Decimal)
    return content
