"""What CDS Hooks leaves behind: who may call, which cards were shown, and what became of them. Nothing about patients.

A card's row lets feedback be counted by service and rule, and lets nobody count for a card that was never shown.
"""

from collections.abc import Sequence
from datetime import datetime

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database


def card_effect(card: str, service: str, rule: str, issuer: str, issued_at: datetime) -> Effect:
    """The row of a card that is sent."""
    return Effect("cds_card", (card, service, rule, issuer, issued_at))


async def admit_call(
    database: Database, tenant: str, client: str, digest: bytes, expires_at: datetime, now: datetime
) -> bool:
    """Whether a token was not used before, on any replica; from now on it was."""
    rows = await database.fetch("SELECT admit_cds_call($1, $2, $3, $4, $5)", tenant, client, digest, expires_at, now)
    return bool(rows[0][0])


async def patients_identified(database: Database, tenant: str, system: str, value: str) -> list[str]:
    """Ids of the Patients that have this identifier; two at most, which is one too many."""
    rows = await database.fetch("SELECT patient FROM patients_identified($1, $2, $3)", tenant, system, value)
    return [row["patient"] for row in rows]


async def cards_shown(database: Database, tenant: str, cards: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Service and rule of those cards that this tenant was shown."""
    rows = await database.fetch("SELECT * FROM cds_cards_shown($1, $2)", tenant, cards)
    return {row["card"]: (row["service"], row["rule"]) for row in rows}
