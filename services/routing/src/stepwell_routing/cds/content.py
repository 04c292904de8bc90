"""What ships for CDS Hooks as data: the words of the cards, the codes that count, and the numbers with their source."""

import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from stepwell_shared.canonical import code_system
from stepwell_shared.fhir.languages import best

from stepwell_routing.rules.cards import CardTexts
from stepwell_routing.rules.care_view import ChangeLimit, Limits
from stepwell_routing.rules.draft_orders import Catalogue

CARD_SYSTEM = code_system("cds-card")
REASON_SYSTEM = code_system("cds-override-reason")


class CardKind(NamedTuple):
    """How urgent a rule's card is, and the reasons that a clinician may give for going another way."""

    indicator: str
    reasons: tuple[str, ...]


@cache
def limits() -> Limits:
    """When a change is more than chance, and when a step has gone on for too long without one."""
    content = _content()
    changes = {
        name: ChangeLimit(each["label"], Decimal(each["threshold"])) for name, each in content["changes"].items()
    }
    return Limits(changes, timedelta(days=content["slowAfterDays"]["value"]))


@cache
def catalogue() -> Catalogue:
    """Which orders are referrals into stepped care, and which are examinations."""
    content = _content()
    referrals, tests = (
        frozenset((system, code) for system, code, _ in content[name]["codes"]) for name in ("referrals", "tests")
    )
    return Catalogue(referrals, tests, timedelta(days=content["repeatWithinDays"]["value"]))


@cache
def kinds() -> Mapping[str, CardKind]:
    """By rule."""
    cards = _content()["cards"]
    return {rule: CardKind(each["indicator"], tuple(each["overrideReasons"])) for rule, each in cards.items()}


def languages() -> list[str]:
    """The languages that cards are written in."""
    return list(_content()["languages"])


def texts_for(accept_language: str) -> CardTexts:
    """The words in the language that the client asks for; English where it asks for none of ours."""
    return texts_in(best(accept_language, _content()["languages"]) or "en")


@cache
def texts_in(language: str) -> CardTexts:
    """The words of one language."""
    content = _content()
    general = {name: words[language] for name, words in content["texts"].items()}
    return CardTexts(
        language=language,
        cards={
            rule: {name: card[name][language] for name in ("topic", "summary", "detail")}
            for rule, card in content["cards"].items()
        },
        reasons={code: words[language] for code, words in content["reasons"].items()},
        **general,
    )


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files("stepwell_routing") / "data" / "cds.json").read_bytes())
    return content
