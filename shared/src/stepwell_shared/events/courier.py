"""One POST to a subscriber: headers, token, deadline, and the answer read no further than it needs to be."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from stepwell_shared.events.answers import Answer, Verdict, read_answer
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.notification import Addressee, NumberedEvent, notification
from stepwell_shared.events.progress import Numbered, Subscription
from stepwell_shared.events.traces import Publishing
from stepwell_shared.events.withholding import Told, Withhold, withhold_all
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.http_client import AddressError, HttpClient, HttpError, Target, public_target
from stepwell_shared.telemetry.tracing import Tracer

TokenProvider = Callable[[str], Awaitable[str]]
ANSWER_BYTES_MAX = 65_536
TIMEOUT_SECONDS = 10.0


class Courier:
    """Sends notifications for the subscriptions at this base URL.

    `token` gives the bearer token for a tenant; only internal subscriptions are sent it. An endpoint that is not
    one that `endpoints` names is looked up at each send and must still be on the public internet then. `withhold` says
    what subscribers are told who are told under Consents alone. `tracer` may be set to one that records.
    """

    def __init__(
        self,
        client: HttpClient,
        base_url: str,
        token: TokenProvider,
        endpoints: EndpointPolicy,
        withhold: Withhold = withhold_all,
    ) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._endpoints = endpoints
        self._withhold = withhold
        self.tracer = Tracer()

    async def send(
        self, subscription: Subscription, kind: str, numbered: Sequence[Numbered], events_total: int
    ) -> Answer:
        """Posts one notification and waits for the answer, at most as long as the subscription allows."""
        if subscription.actor:
            try:
                numbered = await self._shared(subscription, numbered)
            except FhirError as error:
                return Answer(Verdict.UNAVAILABLE, f"Consents cannot be read: {error.category.value}")
        status = "requested" if kind == "handshake" else "active"
        url = f"{self._base_url}/Subscription/{subscription.subscription_id}"
        addressee = Addressee(url, subscription.topic, status, subscription.content)
        events = [NumberedEvent(n.number, n.event.recorded, n.event.entries) for n in numbered]
        body = notification(addressee, kind, events, events_total=events_total, sent=datetime.now(UTC))
        publishing = Publishing(self.tracer, subscription, numbered)
        answer: Answer | None = None
        try:
            answer = await self._answered(subscription, publishing.headers, body)
        finally:
            publishing.end(answer)
        return answer

    async def _answered(self, subscription: Subscription, traces: Mapping[str, str], body: bytes) -> Answer:
        try:
            async with asyncio.timeout(subscription.timeout_seconds or TIMEOUT_SECONDS):
                headers = await self._headers(subscription, traces)
                return await self._post(subscription, headers, body)
        except FhirError as error:
            return Answer(Verdict.UNAVAILABLE, f"no token: {error.category.value}")
        except AddressError:
            return Answer(Verdict.UNAVAILABLE, "the endpoint is not an address on the public internet")
        except TimeoutError:
            return Answer(Verdict.UNAVAILABLE, "no answer in time")
        except (HttpError, OSError) as error:
            return Answer(Verdict.UNAVAILABLE, type(error).__name__)

    async def _shared(self, subscription: Subscription, numbered: Sequence[Numbered]) -> list[Numbered]:
        """The events with what Consents let the subscriber see now."""
        told = [Told(n.event.subject, n.event.entries) for n in numbered]
        seen = await self._withhold(subscription.tenant, subscription.actor, told)
        return [replace(n, event=replace(n.event, entries=each)) for n, each in zip(numbered, seen, strict=True)]

    async def _post(self, subscription: Subscription, headers: dict[str, str], body: bytes) -> Answer:
        answer = bytearray()
        target = await self._target(subscription)
        async with self._client.stream(
            "POST",
            target.url,
            content=body,
            headers={**headers, **target.headers},
            extensions=target.extensions,
            timeout=None,
        ) as response:
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > ANSWER_BYTES_MAX:
                    break
            return read_answer(response.status_code, bytes(answer), internal=subscription.internal)

    async def _target(self, subscription: Subscription) -> Target:
        if subscription.internal or self._endpoints.is_configured(subscription.endpoint):
            return Target(subscription.endpoint)
        return await public_target(subscription.endpoint)

    async def _headers(self, subscription: Subscription, traces: Mapping[str, str]) -> dict[str, str]:
        headers: dict[str, str] = {}
        for header in subscription.headers:
            name, _, value = header.partition(":")
            headers[name.strip()] = value.strip()
        headers["Content-Type"] = headers["Accept"] = "application/fhir+json"
        if subscription.internal:
            headers["Authorization"] = f"Bearer {await self._token(subscription.tenant)}"
        return {**headers, **traces}
