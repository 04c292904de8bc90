"""How long open referrals may rest, what follows a refusal, what is offered in parts, and what people are told."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from stepwell_referral.rules.loop import Reason, TimeOut

Words = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MessagePolicy:
    """When a message of a person is answered: within `reply`, or within `reply_busy` once `open_max` wait unread."""

    reply: timedelta
    reply_busy: timedelta
    open_max: int
    characters_max: int


@cache
def time_outs() -> Mapping[str, TimeOut]:
    """The time-outs of loop.toml by status."""
    return {
        row["status"]: TimeOut(
            row["status"],
            row["why"],
            _hours(row["hours"]),
            _hours(row["again_hours"]),
            tuple(row["told"]),
            row.get("from_promise", False),
        )
        for row in _toml("loop.toml")["state"]
    }


@cache
def reasons() -> Mapping[str, Reason]:
    """The reasons of loop.toml for which a place says no, by code."""
    return {row["code"]: Reason(row["code"], row["next"]) for row in _toml("loop.toml")["reason"]}


@cache
def message_policy() -> MessagePolicy:
    """How messages of people are answered (loop.toml)."""
    found = _toml("loop.toml")["messages"]
    return MessagePolicy(
        timedelta(hours=found["reply_hours"]),
        timedelta(hours=found["reply_busy_hours"]),
        found["open_max"],
        found["characters_max"],
    )


def document_bytes_max() -> int:
    """How much content a document has here (loop.toml)."""
    return int(_toml("loop.toml")["documents"]["bytes_max"])


def document_characters_max() -> int:
    """The same in characters of base64."""
    return document_bytes_max() * 4 // 3


def document_endings() -> dict[str, str]:
    """The media types of content that is kept here, with the ending of the names of their files (loop.toml)."""
    return dict(_toml("loop.toml")["documents"]["media_types"])


@cache
def words() -> Mapping[str, Words]:
    """What people are told, by language (messages.json)."""
    languages: Mapping[str, Words] = orjson.loads((files(__package__) / "messages.json").read_bytes())["languages"]
    return languages


def _hours(row: Mapping[str, int]) -> Mapping[str, timedelta]:
    return {urgency: timedelta(hours=hours) for urgency, hours in row.items()}


@cache
def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((files(__package__) / name).read_text(encoding="utf-8"))
