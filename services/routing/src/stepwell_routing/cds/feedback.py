"""What clinicians do with cards: stored once, counted by service and by rule."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from stepwell_shared.database.pool import Database
from stepwell_shared.fhir.outcome import Category, FhirError, Issue

from stepwell_routing.cds.calls import Feedback
from stepwell_routing.cds.tables import cards_shown

_KEEP = "SELECT keep_cds_feedback($1, $2, $3, $4, $5, $6)"
_RATES = "SELECT * FROM cds_rates($1, $2)"


@dataclass(slots=True)
class Rate:
    """How often cards of a service, or of one of its rules, were shown, followed and overridden, and why."""

    shown: int = 0
    accepted: int = 0
    overridden: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def count(self, outcome: str, reason: str, cards: int) -> None:
        """Adds so many cards with this outcome; empty where nobody said anything."""
        self.shown += cards
        self.accepted += cards if outcome == "accepted" else 0
        self.overridden += cards if outcome == "overridden" else 0
        if reason:
            self.reasons[reason] = self.reasons.get(reason, 0) + cards


async def keep_feedback(database: Database, tenant: str, service: str, given: list[Feedback], now: datetime) -> None:
    """Keeps what was said of cards of this service; said again it counts once, and the latest word counts.

    Raises FhirError BUSINESS_RULE, and keeps nothing, when a card was not shown to this tenant by this service.
    """
    shown = await cards_shown(database, tenant, [each.card for each in given])
    issues = [
        Issue("no such card was shown by this service", "not-found", f"feedback[{index}].card")
        for index, each in enumerate(given)
        if shown.get(each.card, ("", ""))[0] != service
    ]
    if issues:
        raise FhirError(Category.BUSINESS_RULE, issues)
    rows = zip(*((each.card, each.outcome, each.reason, each.given_at) for each in given), strict=True)
    await database.fetch(_KEEP, tenant, *(list(column) for column in rows), now)


async def feedback_rates(database: Database, tenant: str, since: datetime) -> dict[tuple[str, str], Rate]:
    """Rates of the cards shown since then by (service, rule); those of the whole service stand under an empty rule."""
    found: dict[tuple[str, str], Rate] = {}
    for row in await database.fetch(_RATES, tenant, since):
        for key in _keys(row["service"], row["rule"]):
            found.setdefault(key, Rate()).count(row["outcome"], row["reason"], row["cards"])
    return dict(sorted(found.items()))


def _keys(service: str, rule: str) -> Iterable[tuple[str, str]]:
    return (service, ""), (service, rule)
