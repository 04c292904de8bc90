"""One service with some of its locks taken off, to see what each of them costs. Nothing but the bench runs it.

`python -m tests.bench.unlocked measurement token,audit 8009 tenant`: without the check of tokens and scopes and without
the record of accesses. Without row-level security it runs where its database URL is that of a superuser.
"""

import sys
from collections.abc import Sequence
from typing import Any

import asyncpg
from stepwell_shared.app import create_app
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.auth.verification import TokenVerifier
from stepwell_shared.connections import serve
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.recorded import Recorded
from stepwell_shared.fhir.routes import Door
from stepwell_shared.fhir.store import Store
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.installed import service_named

HOST = "127.0.0.1"


def main() -> None:
    """Takes the locks off and serves until it is ended."""
    service, without, port, tenant = sys.argv[1:]
    if "token" in without.split(","):
        _trust_everybody(tenant)
    if "audit" in without.split(","):
        _keep_no_record()
    serve(create_app(service_named(service)), host=HOST, port=int(port))


def _trust_everybody(tenant: str) -> None:
    caller = Caller(tenant, f"{tenant}.ehr", Scopes.parse("system/*.cruds"), "no token")

    async def authenticate(_verifier: TokenVerifier, _header: str | None) -> Caller:
        return caller

    _replace(TokenVerifier, "authenticate", authenticate)


def _keep_no_record() -> None:
    async def keep(_door: Door, *_asked: object) -> None:
        return None

    def records(request: Request, _interaction: str, response: Any) -> list[Effect]:
        return [] if request.keep is None else [request.keep(response)]

    stores: dict[Recorded, Store] = {}
    made = Store.__init__

    def make(store: Store, *given: Any, **named: Any) -> None:
        made(store, *given, **named)
        stores[store.recorded] = store

    async def read(recorded: Recorded, tenant: str, type_: str, id_: str, _record: Effect) -> Stored | None:
        return await stores[recorded].read(tenant, type_, id_)

    async def search(
        recorded: Recorded, tenant: str, statement: str, values: Sequence[str | None], *_: Any, **__: Any
    ) -> list[asyncpg.Record]:
        return await stores[recorded].search(tenant, statement, values)

    _replace(Door, "_keep", keep)
    _replace(Request, "records", records)
    _replace(Store, "__init__", make)
    _replace(Recorded, "read", read)
    _replace(Recorded, "search", search)


def _replace(owner: type, name: str, value: object) -> None:
    setattr(owner, name, value)


if __name__ == "__main__":
    main()
