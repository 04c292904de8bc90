"""What Consents let an outside subscriber see of events, asked for the whole batch right before it is sent."""

from collections.abc import Sequence

import orjson

from stepwell_shared.consent.provisions import SharingConsent
from stepwell_shared.consent.rules import Actor
from stepwell_shared.consent.sharing import Sharing, actor_of
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.events.bodies import completed
from stepwell_shared.events.outbox import Entry
from stepwell_shared.events.withholding import Told, Withhold
from stepwell_shared.fhir.outcome import Category, FhirError


def withholding(database: Database, sharing: Sharing) -> Withhold:
    """What is withheld of events. It raises FhirError UNAVAILABLE while Consents cannot be read: nothing goes then."""

    async def withhold(tenant: str, actor: str, events: Sequence[Told]) -> list[Sequence[Entry]]:
        who = actor_of(sharing.engine.localise(actor))
        try:
            whole = await completed(database, tenant, [each.entries for each in events])
        except UNAVAILABLE_ERRORS as error:
            raise FhirError(Category.UNAVAILABLE, "the database is not reachable") from error
        consents = {each.subject: await sharing.consents_about(tenant, each.subject) for each in events}
        return [
            _seen(sharing, consents[each.subject], who, each.entries, bodies)
            for each, bodies in zip(events, whole, strict=True)
        ]

    return withhold


def _seen(
    sharing: Sharing,
    consents: Sequence[SharingConsent],
    actor: Actor,
    entries: Sequence[Entry],
    bodies: Sequence[Entry],
) -> Sequence[Entry]:
    """The entries that may be seen; none at all when the focus may not, whatever comes beside it."""
    permitted = [_is_permitted(sharing, consents, actor, body) for body in bodies]
    if permitted[:1] != [True]:
        return ()
    return [entry for entry, is_permitted in zip(entries, permitted, strict=True) if is_permitted]


def _is_permitted(sharing: Sharing, consents: Sequence[SharingConsent], actor: Actor, entry: Entry) -> bool:
    """What is not stored any more cannot be looked at, and is not sent."""
    if not entry.is_complete:
        return False
    resource = orjson.loads(bytes(entry.resource))
    return sharing.decide(consents, actor, resource["resourceType"], resource).permitted
