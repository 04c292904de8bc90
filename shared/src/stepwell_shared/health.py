"""Whether a process lives, and whether it can work: what a cluster asks before it sends requests or takes Pods away."""

import asyncio

import asyncpg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database

LOOK_SECONDS_MAX = 1.0


class Health:
    """What `/livez` and `/readyz` say of one process.

    Ready means that the database answers now, that it was migrated for this release, and that nobody has told the
    process to stop. A database that a later release has migrated is fine: its first half leaves us what we need.
    """

    def __init__(self) -> None:
        self._is_leaving = False

    def leave(self) -> None:
        """From now on it is not ready, though it still answers whatever comes."""
        self._is_leaving = True

    def routes(self, database: Database, superseded: frozenset[str]) -> list[Route]:
        """The two addresses. `superseded` are the revisions of the database that this release has left behind."""

        async def live(_: Request) -> Response:
            return JSONResponse({"status": "alive"})

        async def ready(_: Request) -> Response:
            if self._is_leaving:
                return _not_ready("the process is about to stop")
            return await _look(database, superseded)

        return [Route("/livez", live), Route("/readyz", ready)]


async def _look(database: Database, superseded: frozenset[str]) -> Response:
    try:
        async with asyncio.timeout(LOOK_SECONDS_MAX):
            rows = await database.fetch("SELECT version_num FROM alembic_version")
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        rows = []
    except UNAVAILABLE_ERRORS:
        return _not_ready("the database does not answer")
    if not rows or rows[0]["version_num"] in superseded:
        return _not_ready("the database was not migrated for this release")
    return JSONResponse({"status": "ready"})


def _not_ready(reason: str) -> Response:
    return JSONResponse({"status": reason}, status_code=503)
