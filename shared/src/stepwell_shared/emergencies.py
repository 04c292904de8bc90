"""Whoever answers for privacy hears at once that the glass was broken: the event commits with the entry of the audit.

It is told with the AuditEvent itself, so that who may read the record of accesses may subscribe, and nobody else.
"""

from datetime import datetime
from typing import Final

import asyncpg

from stepwell_shared.auth.token_record import Telling
from stepwell_shared.events.outbox import event
from stepwell_shared.events.topics import Topic
from stepwell_shared.fhir.table_names import current_table

GLASS_BROKEN: Final = Topic(
    "glass-broken",
    ("AuditEvent",),
    ("patient", "agent", "altid"),
    "Another organisation sees a person in an emergency whatever no Consent permits: who, whom, and why. It is told"
    " with the record of it, before the token is out, by the service that hosts the issuer.",
)
_ENTRY: Final = f"SELECT body FROM {current_table('AuditEvent')} WHERE tenant = $1 AND id = $2"
_ANNOUNCE: Final = "SELECT insert_outbox($1, $2, $3, $4, $5, $6, $7)"


def telling_of_emergencies(base_url: str) -> Telling:
    """What puts the event beside the entry, in the transaction of both, in the service at this address."""

    async def tell(connection: asyncpg.Connection, tenant: str, patient: str, entry: int, recorded: datetime) -> None:
        focus = f"AuditEvent/{entry}"
        body = bytes(await connection.fetchval(_ENTRY, tenant, str(entry)))
        told = event(GLASS_BROKEN.canonical, f"Patient/{patient}", focus, [(f"{base_url}/{focus}", body)], recorded)
        await connection.execute(_ANNOUNCE, tenant, *([value] for value in told.values))

    return tell
