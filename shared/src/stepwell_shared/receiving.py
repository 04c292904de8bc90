"""The receiving side of a process: what other services push, and what must be asked for because it never came."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.service_tokens import service_client_id
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.canonical import topic as topic_canonical
from stepwell_shared.events.catch_up import CatchUp
from stepwell_shared.events.courier import TokenProvider
from stepwell_shared.events.notification import Notification
from stepwell_shared.events.receiver import Receiver, Sender
from stepwell_shared.events.traces import Arrived
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.wire import Exchange, error_response
from stepwell_shared.http_client import HttpClient
from stepwell_shared.runtime import Runtime, Service
from stepwell_shared.telemetry.requests import Watch

Authenticate = Callable[[str | None], Awaitable[Caller]]


@dataclass(frozen=True)
class Receiving:
    """Takes notifications, and asks for those that are missing."""

    receiver: Receiver
    catch_up: CatchUp
    authenticate: Authenticate
    watch: Watch

    async def take(self, exchange: Exchange) -> None:
        """Where the other services post what happened: answered 200 only when everything is committed."""
        with self.watch.request("notify", "Bundle", None) as seen:
            try:
                caller = await self.authenticate(exchange.headers.get("authorization"))
                caller.require("Bundle", "create")
                # What is recorded is for those to say whom we know.
                arrived = Arrived(self.watch.tracer, exchange.headers)
                seen.follow(arrived.request)
                await self.receiver.receive(caller.tenant, caller.client_id, await exchange.body(), arrived)
                response = Response(200)
            except FhirError as error:
                response = error_response(error)
            await exchange.answer(response)
            seen.status = response.status


def receiving(
    service: Service, runtime: Runtime, http: HttpClient, token: TokenProvider, authenticate: Authenticate
) -> Receiving:
    """The receiving side of a service: only the publishers that it listens to may notify it."""
    settings, database = runtime.settings, runtime.database
    listens = service.listens(runtime)
    publishers = sorted({publisher for publisher, _ in listens})

    def may_notify(sender: Sender, notification: Notification) -> bool:
        return any(
            sender.client_id == service_client_id(sender.tenant, publisher)
            and notification.subscription.startswith(f"{settings.url_of(publisher)}/Subscription/")
            for publisher in publishers
        )

    def may_ask(subscription: str) -> bool:
        return any(subscription.startswith(f"{settings.url_of(each)}/Subscription/") for each in publishers)

    handlers = {topic_canonical(name): handler for (_, name), handler in listens.items()}
    receiver = Receiver(handlers, database, may_notify)
    catch_up = CatchUp(database, http, receiver, tenants=partial(list_tenants, database), token=token, may_ask=may_ask)
    return Receiving(receiver, catch_up, authenticate, runtime.watch)
