"""Who may ask for a referral from outside and what belongs to one (intake.toml)."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_referral.rules.intake import Needed, Source


@cache
def sources() -> tuple[Source, ...]:
    """The roles that refer, those that may most first."""
    return tuple(
        Source(
            row["role"],
            frozenset(row["orders"]),
            frozenset(row.get("proposes", ())),
            row.get("needs_identifier", False),
        )
        for row in _content()["referrer"]
    )


@cache
def refer_nobody() -> frozenset[str]:
    """Roles that work on referrals and make none."""
    return frozenset(_content()["refer_nobody"])


@cache
def required() -> tuple[Needed, ...]:
    """What a referral cannot go without."""
    return _needed("required")


@cache
def wanted() -> tuple[Needed, ...]:
    """What a place would like to know."""
    return _needed("wanted")


def _needed(name: str) -> tuple[Needed, ...]:
    return tuple(Needed(tuple(row["elements"]), row["text"]) for row in _content()[name])


@cache
def _content() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "intake.toml").read_text(encoding="utf-8"))
