"""The default policy that ships, read from its data once."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_shared.consent.provisions import Effect
from stepwell_shared.consent.rules import Default, Fixed, Kind, Policy


@cache
def shipped_policy() -> Policy:
    """What holds without a Consent."""
    return parse_policy(json.loads(files(__package__).joinpath("policy.json").read_bytes()))


def parse_policy(document: dict[str, Any]) -> Policy:
    """The policy that a document says. Raises KeyError or ValueError for one that leaves a kind of actor open."""
    return Policy(
        defaults={kind: _default(document["defaults"][kind.value]) for kind in Kind},
        fixed=tuple(_fixed(each) for each in document["fixed"]),
        recipient_roles=frozenset(document["recipient_roles"]["codes"]),
        sharing_actions=frozenset(document["sharing_actions"]["codes"]),
        open_types=frozenset(document["open_types"]["codes"]),
    )


def _default(given: dict[str, Any]) -> Default:
    return Default(Effect(given["effect"]), given["purpose"], given["named"], given["rule"], given["reason"])


def _fixed(given: dict[str, Any]) -> Fixed:
    types = frozenset(given["resource_types"])
    return Fixed(Kind(given["kind"]), Effect(given["effect"]), types, given["rule"], given["reason"])
