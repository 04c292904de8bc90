"""The door of pages for staff: who has come, by which method, in which language; and their visit on record."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.languages import best
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.pages.forms import Posted, check_token, posted
from stepwell_shared.pages.refusing import HTML, attempted, refuse, require_method
from stepwell_shared.runtime import Page, Runtime

READ = ("GET", "HEAD")

Authenticate = Callable[[str | None], Awaitable[Caller]]


@dataclass(frozen=True)
class Visit:
    """One request for a page by somebody whom a token names. `posted` are the fields of a form that is ours."""

    runtime: Runtime
    access: Caller
    exchange: Exchange
    language: str
    posted: Posted = field(default_factory=dict)

    def request(self, resource_type: str, id_: str = "") -> Request:
        """The same as a request to the engine, for use cases that take one."""
        witness = partial(self.record, resource_type)
        return Request(self.access, witness, resource_type, id=id_, parameters=self.exchange.parameters)

    def record(self, resource_type: str, interaction: str, resource_id: str, status: int) -> Effect:
        """The audit row of what is done or seen in this visit."""
        return audit_effect(
            self.access,
            recorded=self.runtime.clock(),
            interaction=interaction,
            resource_type=resource_type or None,
            resource_id=resource_id or None,
            request_id=self.exchange.request_id,
            status=status,
        )


@dataclass(frozen=True)
class Shown:
    """What somebody gets to see, and how the record of accesses names it.

    Without an interaction nothing is put on record: for answers that show nothing, such as `led_to`.
    """

    body: bytes
    interaction: str = ""
    resource_type: str = ""
    resource_id: str = ""
    media_type: str = HTML
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Show = Callable[[Visit], Awaitable[Shown]]


def led_to(address: str) -> Shown:
    """After a form was taken: the page to look at, so that going back or reloading sends nothing twice."""
    return Shown(b"", status=303, headers={"Location": address, "Cache-Control": "no-store"})


def staff_door(
    runtime: Runtime,
    authenticate: Authenticate,
    show: Show,
    *,
    methods: Sequence[str] = READ,
    languages: Sequence[str] = ("en",),
) -> Page:
    """What answers at addresses for bearers of a token.

    Whoever has none is refused first (401), then other methods (405). With POST among `methods`, a form that is not
    from a page of ours for this person is refused (403) before `show` hears of it.
    """

    async def enter(exchange: Exchange) -> Shown:
        access = await authenticate(exchange.headers.get("authorization"))
        require_method(exchange, methods)
        fields: Posted = {}
        if exchange.method == "POST":
            fields = await posted(exchange)
            check_token(runtime, access, fields)
        visit = Visit(runtime, access, exchange, language_of(exchange, languages), fields)
        shown = await show(visit)
        if shown.interaction:
            row = visit.record(shown.resource_type, shown.interaction, shown.resource_id, shown.status)
            await runtime.store.commit(UnitOfWork(access.tenant, effects=[row]))
        return shown

    async def answer(exchange: Exchange) -> None:
        shown = await attempted(enter(exchange), "a page", exchange.request_id)
        await _send(exchange, shown)

    return answer


def public_door(show: Callable[[Exchange], Awaitable[Shown]], *, methods: Sequence[str] = READ) -> Page:
    """What answers at addresses for everybody: nobody is asked who they are, and nothing is put on record.

    A form that can be posted here is for `show` to look at: there is nobody whom its token could be bound to.
    """

    async def enter(exchange: Exchange) -> Shown:
        require_method(exchange, methods)
        return await show(exchange)

    async def answer(exchange: Exchange) -> None:
        await _send(exchange, await attempted(enter(exchange), "a page", exchange.request_id))

    return answer


def doors_at(pages: Mapping[str, Page]) -> tuple[tuple[str, ...], Page]:
    """Several doors as one, each below its address; the longest address that fits answers."""
    addresses = tuple(sorted(pages, key=len, reverse=True))

    async def answer(exchange: Exchange) -> None:
        await pages[next(each for each in addresses if exchange.path.startswith(each))](exchange)

    return addresses, answer


async def _send(exchange: Exchange, shown: Shown | FhirError) -> None:
    if isinstance(shown, FhirError):
        await refuse(exchange, shown)
    else:
        await exchange.answer(Response(shown.status, shown.body, dict(shown.headers)), shown.media_type)


def language_of(exchange: Exchange, offered: Sequence[str]) -> str:
    """The language to be read in: `language`, else Accept-Language, else the first that there is.

    Raises FhirError NOT_ACCEPTABLE when one is named that is not offered; where there is one alone, nobody is asked.
    """
    wanted = exchange.parameter("language") if len(offered) > 1 else None
    if wanted is None:
        return best(exchange.headers.get("accept-language", ""), offered) or offered[0]
    if wanted not in offered:
        raise FhirError(Category.NOT_ACCEPTABLE, f"language is one of {', '.join(offered)}")
    return wanted
