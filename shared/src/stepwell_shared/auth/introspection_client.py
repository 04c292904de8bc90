"""Asks another issuer whether a token is good (RFC 7662), seldom and never for long.

What it said is kept for seconds: a good token no longer than it lives, a bad one so that a flood of it costs nothing.
"""

import asyncio
import base64
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import structlog

from stepwell_shared.auth.assertions import ASSERTION_TYPE, make_assertion
from stepwell_shared.auth.external_issuers import ExternalIssuer, IntrospectionSetting
from stepwell_shared.auth.fetching import FetchError, post_form
from stepwell_shared.auth.keys import KeyFileError, load_private_key
from stepwell_shared.auth.signatures import TOKEN_CHARACTERS_MAX, SignatureRefusedError
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.http_client import HttpClient

REFUSED_SECONDS: Final = 5.0
REFUSED_MAX: Final = 4096
ASKED_AT_ONCE_MAX: Final = 32

_log = structlog.get_logger(__name__)

_REFUSAL: Final = "the issuer does not vouch for this token"


class IntrospectionClient:
    """The claims of tokens by asking. One question serves all who bring the same token meanwhile."""

    def __init__(
        self, issuer: ExternalIssuer, setting: IntrospectionSetting, http: HttpClient, clock: Callable[[], float]
    ) -> None:
        self._issuer = issuer
        self._setting = setting
        self._http = http
        self._clock = clock
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[dict[str, Any] | None]] = {}

    async def claims(self, token: str) -> dict[str, Any]:
        """What the issuer says of a good token.

        Raises SignatureRefusedError when it is not active, and FhirError UNAVAILABLE when nobody can say: a silent
        issuer refuses nobody, so that a client does not throw a good token away.
        """
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise SignatureRefusedError("the token is too long")
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        if self._refused.get(digest, 0.0) > self._clock():
            raise SignatureRefusedError(_REFUSAL)
        asked = self._asked.get(digest)
        if asked is None:
            if len(self._asked) >= ASKED_AT_ONCE_MAX:
                raise _unavailable()
            asked = self._asked[digest] = asyncio.create_task(self._ask(token))
            asked.add_done_callback(lambda done: self._answered(digest, done))
        try:
            found = await asyncio.shield(asked)
        except FetchError as error:
            raise _unavailable() from error
        if found is None:
            raise SignatureRefusedError(_REFUSAL)
        return found

    async def close(self) -> None:
        """Ends the questions that are under way."""
        for task in (under_way := list(self._asked.values())):
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _answered(self, digest: bytes, task: "asyncio.Task[dict[str, Any] | None]") -> None:
        del self._asked[digest]
        if task.cancelled() or task.exception() is not None or task.result() is not None:
            return
        self._refused[digest] = self._clock() + REFUSED_SECONDS
        if len(self._refused) > REFUSED_MAX:
            self._refused.popitem(last=False)

    async def _ask(self, token: str) -> dict[str, Any] | None:
        """The claims, or None when the token is not active or is of another issuer. Raises FetchError."""
        url = self._setting.url
        proof, headers = self._proof()
        answer = await post_form(
            self._http,
            url,
            {"token": token, "token_type_hint": "access_token", **proof},
            headers,
            guarded=self._issuer.network == "public",
            seconds_max=self._setting.seconds_max,
        )
        if not isinstance(answer, dict) or not isinstance(answer.get("active"), bool):
            raise FetchError(f"{url} does not answer as RFC 7662 has it")
        said_by = answer.get("iss")
        is_ours = said_by is None or str(said_by).rstrip("/") == self._issuer.issuer.rstrip("/")
        return answer if answer["active"] and is_ours else None

    def _proof(self) -> tuple[dict[str, str], dict[str, str]]:
        """Form fields and headers that say who asks; files are read each time: a new secret is taken at once."""
        setting, client_id = self._setting, self._setting.client_id
        try:
            if setting.secret_file is not None:
                secret = setting.secret_file.read_text(encoding="utf-8").strip()
                login = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"  # RFC 6749 section 2.3.1
                return {}, {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
            assert setting.key_file is not None
            key = load_private_key(setting.key_file)
        except (OSError, ValueError, KeyFileError) as error:
            _log.error("no secret with which the issuer can be asked", issuer=self._issuer.issuer)
            raise FetchError(f"{setting.url} cannot be asked without a secret") from error
        audience = setting.assertion_audience or setting.url
        proof = make_assertion(client_id, audience, key, secrets.token_urlsafe(16), self._clock())
        return {"client_id": client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": proof}, {}


def _unavailable() -> FhirError:
    text = "the issuer of this token does not say whether it is good; try again shortly"
    return FhirError(Category.UNAVAILABLE, text, headers={"Retry-After": "2"})
