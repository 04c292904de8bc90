"""Sends FHIR requests as a patient client does: so many at once, again after what passes, and later when asked to.

Whoever sends through it must send things that come once however often they are sent.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import HttpClient, HttpError, HttpResponse

FHIR_JSON, JSON_PATCH = "application/fhir+json", "application/json-patch+json"
NOT_ALLOWED = frozenset({401, 403})
LATER = frozenset({429, 500, 502, 503, 504})
FIRST_PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.25, 8.0
NOBODY_ANSWERS = (
    "{address} does not answer. Start the suite with `stepwell run` in another terminal and run this again, or let"
    " this command start one: `stepwell demo --embedded`."
)

Body = Mapping[str, Any] | list[Any] | bytes
TokenOf = Callable[[], Awaitable[str]]


@dataclass
class Sender:
    """One client of the suite. `asked_to_wait` counts answers that said: later."""

    http: HttpClient
    urls: Mapping[str, str]
    token: TokenOf
    turns: asyncio.Semaphore
    patience_seconds: float
    requests: int = 0
    asked_to_wait: int = 0
    _answered: bool = field(default=False, repr=False)

    async def send(
        self,
        method: str,
        service: str,
        path: str,
        body: Body | None = None,
        *,
        allowed: frozenset[int] = frozenset(),
        **parameters: str,
    ) -> HttpResponse:
        """The answer; one that is neither 2xx nor `allowed` ends everything.

        Raises SetupError with what to do: nobody answers, or for too long says later; this client may not; a refusal.
        """
        address = self.urls[service] + (f"/{path}" if path else "")
        started, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        while True:
            async with self.turns:
                answer = await self._try(method, address, body, parameters)
            if answer is not None and (answer.is_success or answer.status_code in allowed):
                self._answered = True
                return answer
            if answer is not None and answer.status_code in NOT_ALLOWED:
                raise SetupError(f"{address} does not let this client in ({answer.status_code}): {said(answer)}")
            if answer is not None and answer.status_code not in LATER:
                raise SetupError(f"{address} refused what the demo sent ({answer.status_code}): {said(answer)}")
            if time.monotonic() - started > self.patience_seconds or (answer is None and not self._answered):
                raise SetupError(self._given_up(address, answer))
            self.asked_to_wait += 1
            await asyncio.sleep(_wish(answer, pause))
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def _try(
        self, method: str, address: str, body: Body | None, parameters: Mapping[str, str]
    ) -> HttpResponse | None:
        """None when nobody answers."""
        headers = {"Authorization": f"Bearer {await self.token()}", "Prefer": "return=minimal"}
        content = body if isinstance(body, bytes | None) else orjson.dumps(body)
        if content is not None:
            headers["Content-Type"] = JSON_PATCH if method == "PATCH" else FHIR_JSON
        self.requests += 1
        try:
            return await self.http.request(method, address, content=content, params=parameters or None, headers=headers)
        except HttpError:
            return None

    def _given_up(self, address: str, answer: HttpResponse | None) -> str:
        if answer is None:
            return NOBODY_ANSWERS.format(address=address)
        return f"{address} keeps answering {answer.status_code}. Run the same command again later: it goes on."


def said(answer: HttpResponse) -> str:
    """The first thing that an OperationOutcome says, with its place."""
    try:
        issue = answer.json()["issue"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        return "no reason was given"
    place = ", ".join(issue.get("expression", ()))
    return str(issue.get("details", {}).get("text", issue.get("diagnostics", ""))) + (f" ({place})" if place else "")


def _wish(answer: HttpResponse | None, pause: float) -> float:
    """How long to wait: as long as the server asks, else a pause that grows."""
    try:
        return max(pause, float(answer.headers["retry-after"])) if answer is not None else pause
    except (KeyError, ValueError):
        return pause
