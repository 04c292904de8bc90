"""Asks services as a patient client does: again after what passes, later when asked to, and not for ever.

Who asks through it must ask what comes to the same however often it is sent.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from stepwell_shared.auth.keys import KeyFileError
from stepwell_shared.auth.service_tokens import TokenRequestError
from stepwell_shared.cli.access import AccessSettings, fetch_token
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import HttpClient, HttpError, HttpResponse, http_client

NOT_ALLOWED = frozenset({401, 403})
LATER = frozenset({429, 500, 502, 503, 504})
FIRST_PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.25, 8.0
TOKEN_SECONDS_USED = 240

TokenOf = Callable[[], Awaitable[str]]


class Patience:
    """The pauses between several tries of one thing: longer and longer, or as long as the service asks."""

    def __init__(self, seconds_max: float) -> None:
        self._until = time.monotonic() + seconds_max
        self._pause_seconds = FIRST_PAUSE_SECONDS

    async def pause(self, what: str, answer: HttpResponse | None = None) -> None:
        """Waits before the next try. Raises SetupError, with `what` stands in the way, once it was long enough."""
        if time.monotonic() > self._until:
            raise SetupError(f"{what}. Run the same command again later: it goes on where it was.")
        await asyncio.sleep(max(self._pause_seconds, wished_seconds(answer)))
        self._pause_seconds = min(2 * self._pause_seconds, PAUSE_SECONDS_MAX)


@dataclass
class PatientClient:
    """A client of one token. `requests` counts what was sent, `asked_to_wait` the tries that were not the last."""

    http: HttpClient
    token: TokenOf
    patience_seconds: float
    turns: AbstractAsyncContextManager[object] = field(default_factory=nullcontext)
    nobody_answers: str = ""
    """What to do when nobody has ever answered, told at once; without it, they are waited for too."""
    requests: int = 0
    asked_to_wait: int = 0
    _answered: bool = field(default=False, repr=False)

    async def ask(
        self,
        method: str,
        address: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """The answer that counts, be it a refusal.

        Raises SetupError with what to do: nobody answers, or for too long says later; this client is not let in.
        """
        patience = Patience(self.patience_seconds)
        while True:
            async with self.turns:
                answer = await self.once(method, address, content=content, headers=headers, parameters=parameters)
            if answer is not None and not asks_to_wait(answer):
                self._answered = True
                if answer.status_code in NOT_ALLOWED:
                    raise SetupError(f"{address} does not let this client in ({answer.status_code}): {said(answer)}")
                return answer
            if answer is None and not self._answered and self.nobody_answers:
                raise SetupError(f"{address} does not answer. {self.nobody_answers}")
            self.asked_to_wait += 1
            await patience.pause(f"{address} answers {'nothing' if answer is None else answer.status_code}", answer)

    async def once(
        self,
        method: str,
        address: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> HttpResponse | None:
        """One try; None when nobody answers."""
        sent = {"Authorization": f"Bearer {await self.token()}", **(headers or {})}
        self.requests += 1
        try:
            return await self.http.request(method, address, content=content, params=parameters or None, headers=sent)
        except HttpError:
            return None


class Token:
    """A token of this machine's client, asked for anew before it runs out."""

    def __init__(self, settings: AccessSettings, client_id: str, key_file: Path | None = None) -> None:
        self._settings = settings
        self._client_id = client_id
        self._key_file = key_file
        self._text = ""
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def text(self) -> str:
        """Raises SetupError when there is no key or no token."""
        async with self._asking:
            if time.monotonic() > self._until:
                try:
                    self._text = await fetch_token(self._settings, self._client_id, key_file=self._key_file)
                except (KeyFileError, TokenRequestError) as error:
                    raise SetupError(str(error)) from error
                self._until = time.monotonic() + TOKEN_SECONDS_USED
        return self._text


async def asked_once(
    settings: AccessSettings, client_id: str, method: str, service: str, page: str, key_file: Path | None = None
) -> HttpResponse:
    """The answer of a service's page, beside its FHIR addresses, to a client whose key is here.

    Raises KeyFileError, TokenRequestError, and SetupError when nobody answers.
    """
    token = await fetch_token(settings, client_id, key_file=key_file)
    url = f"{settings.text(f'{service}_url').removesuffix('/fhir')}/{page}"
    async with http_client() as http:
        try:
            return await http.request(method, url, headers={"Authorization": f"Bearer {token}"})
        except HttpError as error:
            raise SetupError(f"{service.capitalize()} does not answer: is the suite running?") from error


def asks_to_wait(answer: HttpResponse) -> bool:
    """Whether the same request may be answered otherwise later."""
    return not answer.is_success and (answer.status_code in LATER or "retry-after" in answer.headers)


def wished_seconds(answer: HttpResponse | None) -> float:
    """How long the service asks to wait; 0 where it does not say."""
    try:
        return float(answer.headers["retry-after"]) if answer is not None else 0.0
    except (KeyError, ValueError):
        return 0.0


def said(answer: HttpResponse) -> str:
    """The first thing that an OperationOutcome says, with its place."""
    try:
        issue = answer.json()["issue"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        return "no reason was given"
    place = ", ".join(issue.get("expression", ()))
    return str(issue.get("details", {}).get("text", issue.get("diagnostics", ""))) + (f" ({place})" if place else "")
