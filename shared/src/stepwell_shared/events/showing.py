"""What readers of a Subscription see of its delivery: the status and the error are those of the last attempt.

The resource gets a new version when its status changes, so that read, search, history and vread all tell the same.
"""

from typing import Any

import msgspec

from stepwell_shared.fhir.interactions import Engine, built
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork

WRITE_ATTEMPTS_MAX = 8


async def show_status(engine: Engine, tenant: str, subscription_id: str, status: str, error: str) -> None:
    """Makes the Subscription say how its delivery stands. A deleted one stays deleted."""
    for _ in range(WRITE_ATTEMPTS_MAX):
        stored = await engine.store.read(tenant, "Subscription", subscription_id)
        if stored is None or stored.body is None:
            return
        resource = msgspec.json.decode(stored.body)
        if _is_shown(resource, status, error):
            return
        change = built(engine, _with_status(resource, status, error), engine.clock(), version=stored.version + 1)
        try:
            await engine.store.commit(UnitOfWork(tenant, [change]))
        except WriteConflictError:
            continue
        return


def _is_shown(resource: dict[str, Any], status: str, error: str) -> bool:
    return (resource["status"], resource.get("error", "")) == (status, _shown_error(status, error))


def _shown_error(status: str, error: str) -> str:
    return error if status in ("error", "off") else ""


def _with_status(resource: dict[str, Any], status: str, error: str) -> dict[str, Any]:
    changed = {name: value for name, value in resource.items() if name != "error"}
    changed["status"] = status
    if shown := _shown_error(status, error):
        changed["error"] = shown
    return changed
