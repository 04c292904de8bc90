"""Signing in to pages for staff with a browser: a link that is good once and soon over, then a session by a cookie.

Who has a token asks for the link: a record system for the person who works in it, or `stepwell worklist` at the
terminal. The session may what that token may, for a working day at most, and ends by itself when nobody does anything,
or at once when the client or the person behind it loses rights.
https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html
"""

import hashlib
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from secrets import token_hex
from urllib.parse import urlsplit

import orjson

from stepwell_shared.auth.assertions import Assertion, remember_assertion
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.ended_rights import SESSION_LIVES, rights_ended_at
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.auth.signatures import SignatureRefusedError
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import Exchange, error_response
from stepwell_shared.pages.cookies import cookie, cookie_values
from stepwell_shared.pages.door import Authenticate, Shown, led_to
from stepwell_shared.pages.forms import check_token, posted
from stepwell_shared.pages.headers import security_headers
from stepwell_shared.pages.refusing import attempted, refuse, require_method
from stepwell_shared.runtime import Page, Runtime
from stepwell_shared.signing import opened, signed

COOKIE = "stepwell-staff"
LINK, SESSION = "staff link", "staff session"
# Product defaults: long enough to go from the terminal or the record system to the browser; and a break, after which
# somebody else may be at the desk.
LINK_LIVES = timedelta(minutes=5)
IDLE_MAX = timedelta(hours=1)
COOKIE_CHARACTERS_MAX = 3800  # browsers keep 4096 of a cookie with its name and attributes

_ENDED = "SELECT 1 FROM assertion_seen WHERE tenant = $1 AND client_id = $2 AND jti_digest = $3"


@dataclass(frozen=True)
class Session:
    """One browser of somebody who has signed in. Moments are in seconds since 1970."""

    id: str
    tenant: str
    client_id: str
    scopes: str
    roles: tuple[str, ...]
    fhir_user: str | None
    token_id: str
    began: int
    seen: int

    @property
    def caller(self) -> Caller:
        """Who acts, with the rights of the token that asked for the link."""
        return Caller(
            tenant=self.tenant,
            client_id=self.client_id,
            scopes=Scopes.parse(self.scopes),
            token_id=self.token_id,
            roles=self.roles,
            fhir_user=self.fhir_user,
        )

    @property
    def ends(self) -> float:
        return self.began + SESSION_LIVES.total_seconds()

    def is_over(self, now: float) -> bool:
        return now >= min(self.ends, self.seen + IDLE_MAX.total_seconds())


@dataclass(frozen=True)
class SignIn:
    """Signing in at one address below which pages for staff are; the cookie goes there and nowhere else.

    `shows` is the type of resource that the pages show: who may not search it is not let in.
    """

    runtime: Runtime
    authenticate: Authenticate
    address: str
    shows: str
    # How this process tells itself that it has looked at a session; nobody else can say so.
    looked_at: str = field(default_factory=token_hex, repr=False)

    def doors(self, pages: Callable[[Authenticate], Page]) -> Mapping[str, Page]:
        """The pages, which `pages` makes with what finds out who has come, and the addresses that sign in and out."""
        inner = pages(self._who)
        return {
            self.address: lambda exchange: self._within(inner, exchange),
            f"{self.address}/sign-in": self._asked,
            f"{self.address}/open/": self._opened,
            f"{self.address}/sign-out": self._left,
        }

    async def _asked(self, exchange: Exchange) -> None:
        """POST by a bearer of a token: a link that opens a session with the same rights."""

        async def work() -> Response:
            access = await self.authenticate(exchange.headers.get("authorization"))
            require_method(exchange, ("POST",))
            link, expires = self._link(access)
            row = audit_effect(
                access,
                recorded=self.runtime.clock(),
                interaction="$sign-in",
                resource_type=None,
                resource_id=None,
                request_id=exchange.request_id,
                status=200,
            )
            await self.runtime.store.commit(UnitOfWork(access.tenant, effects=[row]))
            return Response(200, encode({"link": link, "expires": expires}), {"Cache-Control": "no-store"})

        found = await attempted(work(), "a sign-in", exchange.request_id)
        if isinstance(found, FhirError):
            await exchange.answer(error_response(found))
        else:
            await exchange.answer(found, "application/json")

    def _link(self, access: Caller) -> tuple[str, str]:
        if access.actor is not None or access.patient is not None:
            raise FhirError(Category.FORBIDDEN, "these pages are for staff")
        access.require(self.shows, Interaction.SEARCH_TYPE)
        now = self.runtime.clock()
        began = int(now.timestamp())
        session = Session(
            id=token_hex(16),
            tenant=access.tenant,
            client_id=access.client_id,
            scopes=str(access.scopes),
            roles=access.roles,
            fhir_user=access.fhir_user,
            token_id=access.token_id,
            began=began,
            seen=began,
        )
        text = _packed(self.runtime, LINK, session)
        if len(text) > COOKIE_CHARACTERS_MAX:
            raise FhirError(
                Category.BUSINESS_RULE, "the scopes of this token are too many for a browser: ask for fewer"
            )
        base = urlsplit(self.runtime.engine.base_url)
        until = now + LINK_LIVES
        return f"{base.scheme}://{base.netloc}{self.address}/open/{text}", until.isoformat(timespec="seconds")

    async def _opened(self, exchange: Exchange) -> None:
        """The link: a session of this browser begins, and leads to the pages. It opens one alone."""

        async def work() -> Shown:
            require_method(exchange, ("GET", "HEAD"))
            text = exchange.path.rpartition("/")[2]
            session = _unpacked(self.runtime, LINK, text)
            now = self.runtime.clock().timestamp()
            if session is None or now >= session.began + LINK_LIVES.total_seconds():
                raise _over("this link is over, or none of ours: ask for a new one")
            shown = led_to(self.address)
            if exchange.method == "HEAD":
                return shown
            await self._use(f"link {session.id}", session, now)
            return replace(shown, headers={**shown.headers, **self._cookie(session)})

        await _answer(exchange, await attempted(work(), "a sign-in", exchange.request_id))

    async def _use(self, name: str, session: Session, now: float) -> None:
        try:
            marked = Assertion(name, session.ends)
            await remember_assertion(self.runtime.database, session.tenant, session.client_id, marked, now)
        except SignatureRefusedError as error:
            raise _over("this link was used before: ask for a new one") from error

    async def _left(self, exchange: Exchange) -> None:
        """POST of the page's own form: the session ends, also for whoever has a copy of its cookie."""

        async def work() -> Shown:
            require_method(exchange, ("POST",))
            session = await self._session(exchange)
            if session is not None:
                check_token(self.runtime, session.caller, await posted(exchange))
                now = self.runtime.clock().timestamp()
                await self._use(f"ended {session.id}", session, now)
            raise FhirError(
                Category.UNAUTHENTICATED,
                [Issue("you have signed out", "login")],
                headers={"Set-Cookie": cookie(COOKIE, "", self.address, secure=self._is_secure, is_over=True)},
            )

        await _answer(exchange, await attempted(work(), "a sign-out", exchange.request_id))

    async def _within(self, page: Page, exchange: Exchange) -> None:
        """A page, for a session or for the bearer of a token; the session goes on from now."""
        if "authorization" not in exchange.headers:
            found = await attempted(self._session(exchange), "a session", exchange.request_id)
            if isinstance(found, FhirError):
                await refuse(exchange, found)
                return
            if found is not None:
                seen = replace(found, seen=int(self.runtime.clock().timestamp()))
                text = _packed(self.runtime, SESSION, seen)
                exchange.headers["authorization"] = f"{self.looked_at} {text}"
                await page(_Kept(exchange, self._cookie(seen)))
                return
        await page(exchange)

    async def _session(self, exchange: Exchange) -> Session | None:
        """The session of a browser, unless it is over or somebody has signed out of it."""
        for value in cookie_values(exchange.headers.get("cookie", ""), COOKIE, secure=self._is_secure):
            session = _unpacked(self.runtime, SESSION, value)
            if session is None or session.is_over(self.runtime.clock().timestamp()):
                continue
            digest = hashlib.sha256(f"ended {session.id}".encode()).digest()
            async with self.runtime.database.transaction(session.tenant) as connection:
                ended = await connection.fetchval(_ENDED, session.tenant, session.client_id, digest)
            return None if ended is not None or await self._is_without_rights(session) else session
        return None

    async def _is_without_rights(self, session: Session) -> bool:
        database = self.runtime.database
        ended_at = await rights_ended_at(database, session.tenant, session.client_id, session.fhir_user)
        return session.began <= ended_at

    async def _who(self, authorization: str | None) -> Caller:
        """Who has come: a session that this process has just looked at, or the bearer of a token."""
        scheme, _, text = (authorization or "").partition(" ")
        session = _unpacked(self.runtime, SESSION, text) if scheme == self.looked_at else None
        return session.caller if session is not None else await self.authenticate(authorization)

    def _cookie(self, session: Session) -> dict[str, str]:
        text = _packed(self.runtime, SESSION, session)
        return {"Set-Cookie": cookie(COOKIE, text, self.address, secure=self._is_secure)}

    @property
    def _is_secure(self) -> bool:
        return self.runtime.engine.base_url.startswith("https:")


class _Kept(Exchange):
    """A request whose answer, whatever it is, carries the session's cookie."""

    __slots__ = ("_more",)

    def __init__(self, exchange: Exchange, more: Mapping[str, str]) -> None:
        for name in Exchange.__slots__:
            setattr(self, name, getattr(exchange, name))
        self._more = more

    async def answer(self, response: Response, media_type: str = "application/fhir+json") -> None:
        await super().answer(replace(response, headers={**self._more, **response.headers}), media_type)


def signed_in(runtime: Runtime, authenticate: Authenticate, address: str, shows: str) -> SignIn:
    """Signing in to the pages below an address of this service, such as `/referral/worklist`, that show one type."""
    return SignIn(runtime, authenticate, address, shows)


def _packed(runtime: Runtime, purpose: str, session: Session) -> str:
    packed = urlsafe_b64encode(zlib.compress(orjson.dumps(asdict(session)), 9)).rstrip(b"=").decode()
    return signed(runtime, purpose, packed)


def _unpacked(runtime: Runtime, purpose: str, text: str) -> Session | None:
    """The session of a text of ours; None for any other. What is signed is looked at before it is unpacked."""
    parts = opened(runtime, purpose, text)
    if parts is None or len(parts) != 1:
        return None
    found = orjson.loads(zlib.decompress(urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4))))
    return Session(**{**found, "roles": tuple(found["roles"])})


def _over(text: str) -> FhirError:
    return FhirError(Category.UNAUTHENTICATED, [Issue(text, "login")])


async def _answer(exchange: Exchange, shown: Shown | FhirError) -> None:
    if isinstance(shown, FhirError):
        await refuse(exchange, shown)
    else:
        headers = {**security_headers(), **shown.headers}
        await exchange.answer(Response(shown.status, shown.body, headers), shown.media_type)
