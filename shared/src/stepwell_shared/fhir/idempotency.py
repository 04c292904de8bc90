"""Idempotency-Key: what a client asks for twice under one key happens once, and is answered the same both times.

The answer is one more row of the unit of work whose effect it reports, so that no crash parts them. Whoever comes
second, on any replica, meets the row and gets that answer. The key's scope is the tenant and the client. A refusal is
not kept: it changed nothing, and what was missing may be there next time.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256

import orjson
import structlog

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.store import TRY_LATER, AlreadyAnsweredError, Store
from stepwell_shared.fhir.table_names import IDEMPOTENCY_TABLE as TABLE
from stepwell_shared.fhir.unit import UnitOfWork

HEADER = "idempotency-key"
# A visible ASCII text, quoted or not (draft-ietf-httpapi-idempotency-key-header section 2.1 quotes it).
_KEY = re.compile(r'"?([!#-~]{1,255})"?')
# What an entry of a batch adds to the key of its Bundle: no client's key holds a blank.
_ENTRY = " entry "
# Headers that change what a request means, beside its body.
_MEANING = ("if-match", "if-none-exist", "x-provenance")

log = structlog.get_logger("stepwell.idempotency")

FIND = f"SELECT * FROM find_{TABLE}($1, $2, $3)"
FORGET = f"SELECT forget_{TABLE}($1, $2, $3) AS forgotten"


@dataclass(frozen=True, slots=True)
class Key:
    """The key of one request. `digest` says what was asked."""

    client_id: str
    key: str
    digest: bytes

    def effect(self, response: Response, now: datetime) -> Effect:
        """The row that keeps this answer."""
        headers = orjson.dumps(response.headers).decode()
        return Effect(
            TABLE,
            (self.client_id, self.key, self.digest, response.status, headers, response.id, response.body, now),
        )

    def of_entry(self, position: int, digest: bytes) -> "Key":
        """The key of one entry of a batch, so that a batch that broke off goes on where it stopped."""
        return Key(self.client_id, f"{self.key}{_ENTRY}{position}", digest)


def key_of(request: Request, asked: str, types: Iterable[str] = ()) -> Key | None:
    """The request's key, if it has one; `asked` names the interaction. Raises FhirError INVALID for a malformed one.

    The digest covers who asks and what they may read of the `types` concerned: an answer is only for who could get it.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return None
    matched = _KEY.fullmatch(given.strip())
    if matched is None:
        text = "Idempotency-Key is 1 to 255 visible ASCII characters, such as a UUID"
        raise FhirError(Category.INVALID, [Issue(text, "value", "http.Idempotency-Key")])
    return Key(request.access.client_id, matched[1], digest_of(request, asked, types))


def digest_of(request: Request, asked: str, types: Iterable[str]) -> bytes:
    """What was asked, by whom, as 32 bytes."""
    said = [
        asked,
        request.resource_type,
        request.id,
        request.access.fhir_user,
        [list(pair) for pair in request.parameters],
        [request.headers.get(name) for name in _MEANING],
        [(name, _rights(request, name)) for name in sorted(set(types))],
    ]
    return sha256(orjson.dumps(said) + b"\n" + request.body).digest()


def _rights(request: Request, resource_type: str) -> list[str] | None:
    """What the caller's scopes let through of a type; none at all is None."""
    try:
        return list(request.access.filters(resource_type, "read"))
    except FhirError:
        return None


Verb = Callable[[Request], Awaitable[Response]]


async def answered_once(store: Store, request: Request, key: Key, now: Callable[[], datetime], verb: Verb) -> Response:
    """The verb's answer, or the one that was given under this key before.

    Raises FhirError BUSINESS_RULE when the key was used for something else.
    """
    kept = await _find(store, request.access.tenant, key)
    if kept is not None:
        return kept
    try:
        response = await verb(replace(request, keep=lambda response: key.effect(response, now())))
        if not response.witnessed and response.status < 300:  # nothing was changed with it: the answer alone is kept
            await store.commit(UnitOfWork(request.access.tenant, effects=[key.effect(response, now())]))
    except (AlreadyAnsweredError, FhirError) as error:
        if isinstance(error, FhirError) and error.category is Category.UNAVAILABLE:
            raise
        # Another request with this key was first, and may be why this one was refused.
        kept = await _find(store, request.access.tenant, key)
        if kept is not None:
            return kept
        if isinstance(error, FhirError):
            raise
        text = "another request with this Idempotency-Key is being answered; try again"
        raise FhirError(Category.UNAVAILABLE, text, headers=TRY_LATER) from error
    return response


async def _find(store: Store, tenant: str, key: Key) -> Response | None:
    rows = await store.fetch(FIND, tenant, key.client_id, key.key)
    if not rows:
        return None
    row = rows[0]
    if row["digest"] != key.digest:
        text = "this Idempotency-Key was used for another request; a new request takes a new key"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "http.Idempotency-Key")])
    return Response(row["status"], row["body"], orjson.loads(row["headers"]), row["resource_id"])


FORGOTTEN_PER_CALL_MAX = 1000
FORGETTING_SECONDS = 600.0


async def forget(store: Store, tenants: Sequence[str], before: datetime) -> int:
    """Removes the answers that were given before this moment; how many they were."""
    total = 0
    for tenant in tenants:
        forgotten = FORGOTTEN_PER_CALL_MAX
        while forgotten == FORGOTTEN_PER_CALL_MAX:
            forgotten = (await store.fetch(FORGET, tenant, before, FORGOTTEN_PER_CALL_MAX))[0]["forgotten"]
            total += forgotten
    return total


async def keep_forgetting(
    store: Store, tenants: Callable[[], Awaitable[Sequence[str]]], now: Callable[[], datetime], hours: float
) -> None:
    """Runs until it is cancelled; while the database is away it waits. Every replica may run it."""
    while True:
        await asyncio.sleep(FORGETTING_SECONDS)
        try:
            await forget(store, await tenants(), now() - timedelta(hours=hours))
        except (*UNAVAILABLE_ERRORS, FhirError):
            log.warning("old answers are forgotten once the database answers")


def functions() -> list[str]:
    """The SQL functions behind `answered_once` and `forget`; each sets the tenant itself."""
    return [
        f"""CREATE OR REPLACE FUNCTION find_{TABLE}(tenant_in text, client_in text, key_in text)
RETURNS TABLE (digest bytea, status smallint, headers text, resource_id text, body bytea)
LANGUAGE plpgsql SET enable_seqscan TO off AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT k.digest, k.status, k.headers, k.resource_id, k.body FROM {TABLE} AS k
    WHERE k.tenant = tenant_in AND k.client_id = client_in AND k.key = key_in;
END $function$""",
        f"""CREATE OR REPLACE FUNCTION forget_{TABLE}(tenant_in text, before_in timestamptz, most_in integer)
RETURNS bigint LANGUAGE plpgsql SET enable_seqscan TO off AS $function$
DECLARE forgotten bigint;
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  DELETE FROM {TABLE} AS k USING (
    SELECT o.client_id, o.key FROM {TABLE} AS o WHERE o.tenant = tenant_in AND o.created_at < before_in
      ORDER BY o.created_at LIMIT most_in FOR UPDATE SKIP LOCKED
  ) AS old WHERE k.tenant = tenant_in AND k.client_id = old.client_id AND k.key = old.key;
  GET DIAGNOSTICS forgotten = ROW_COUNT;
  RETURN forgotten;
END $function$""",
    ]


def keyed(asked: str, verb: Callable[[Engine, Request], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """The verb as one that takes an Idempotency-Key; `asked` names it, such as `create` or `$accept`."""

    def answer(engine: Engine, request: Request) -> Awaitable[Response]:
        key = key_of(request, asked, [request.resource_type])
        if key is None:
            return verb(engine, request)
        return answered_once(engine.store, request, key, engine.clock, partial(verb, engine))

    return answer
