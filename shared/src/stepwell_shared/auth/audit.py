"""The audit row of every access: who did what to which resource, and with what outcome. No query, name or answer.

Rows are committed with the act, or before the answer leaves; AuditEvent resources are rendered from them on read.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import letters_of
from stepwell_shared.database.functions import Effect

AUDIT_TABLE: Final = "audit"
LOGIN: Final = "login"  # a client asked for a token: no access to data, and an AuditEvent of another type

# http://hl7.org/fhir/audit-event-action: create, read, update, delete, execute (searches are executed).
_ACTIONS: Final[Mapping[str, str]] = {"c": "C", "r": "R", "u": "U", "d": "D", "s": "E"}


def audit_effect(
    caller: Caller,
    *,
    recorded: datetime,
    interaction: str,
    resource_type: str | None,
    resource_id: str | None,
    request_id: str,
    status: int,
) -> Effect:
    """The row for one access, in the order of the audit table's columns.

    `interaction` is that of the CapabilityStatement or an operation such as `$apply`; `status` is the HTTP status
    that the caller gets.
    """
    return Effect(
        AUDIT_TABLE,
        (
            recorded,
            action_of(interaction),
            interaction,
            resource_type,
            resource_id,
            caller.client_id,
            caller.token_id,
            request_id,
            status,
            caller.fhir_user,
        ),
    )


@lru_cache(maxsize=256)
def action_of(interaction: str) -> str:
    """The AuditEvent action of an interaction; operations are executed."""
    return "E" if interaction.startswith("$") else _ACTIONS.get(letters_of(interaction), "E")
