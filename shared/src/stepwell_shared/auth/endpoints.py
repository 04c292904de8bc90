"""The issuer's pages, mounted at `/{service}/auth` of the service that hosts it, and what every service says of it.

SMART App Launch 2.2: "Backend Services" and "Retrieve .well-known/smart-configuration".
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from stepwell_shared.auth.addresses import Network, address_of
from stepwell_shared.auth.client_authentication import OAuthError
from stepwell_shared.auth.introspection import introspect
from stepwell_shared.auth.issuer import Issuer, issue_token
from stepwell_shared.auth.keys import ALGORITHMS
from stepwell_shared.auth.token_record import record_refusal
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS

FORM: Final = "application/x-www-form-urlencoded"
FORM_BYTES_MAX: Final = 32_768
NEVER_STORED: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class TokenForm(BaseModel):
    """The body of a token request."""

    grant_type: str
    client_assertion_type: str
    client_assertion: str
    scope: str | None = None
    client_id: str | None = None
    purpose_of_use: str | None = None
    purpose_of_use_reason: str | None = None
    patient: str | None = None


class IntrospectionForm(BaseModel):
    """The body of a question about a token."""

    token: str
    token_type_hint: str | None = None
    client_assertion_type: str
    client_assertion: str
    client_id: str | None = None


class IntrospectionAnswer(BaseModel):
    """What a token stands for; of one that is not active nothing else is said."""

    model_config = ConfigDict(extra="allow")

    active: bool
    scope: str | None = None
    client_id: str | None = None
    exp: int | None = None
    patient: str | None = None
    fhirUser: str | None = None  # noqa: N815  # SMART's own name


class TokenAnswer(BaseModel):
    """A token and what it is good for."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


class OAuthRefusal(BaseModel):
    """Why there is no token (RFC 6749 section 5.2)."""

    error: str
    error_description: str


_TOKEN_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {FORM: {"schema": TokenForm.model_json_schema()}}}
}


_INTROSPECTION_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {FORM: {"schema": IntrospectionForm.model_json_schema()}}}
}
_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {status: {"model": OAuthRefusal} for status in (400, 401, 429, 503)}

Answering = Callable[[Issuer, Mapping[str, str], float, str], Awaitable[Mapping[str, Any]]]


def issuer_router(
    issuer: Issuer, *, clock: Callable[[], float] = time.time, proxies: Sequence[Network] = ()
) -> APIRouter:
    """The routes `POST /token`, `POST /introspect` and `GET /jwks.json` of this issuer, behind these proxies."""
    routes = APIRouter(tags=["auth"])

    async def answered(work: Answering, request: Request) -> Response:
        address = address_of(
            request.client.host if request.client else "",
            ",".join(request.headers.getlist("x-forwarded-for")),
            proxies,
        )
        now = clock()
        try:
            try:
                answer = await work(issuer, await _form(request), now, address)
            except OAuthError as error:
                await record_refusal(issuer.database, issuer.refusal_limits, error, now)
                return _refusal(error.status, error.code, error.description, error.retry_after_seconds)
        except UNAVAILABLE_ERRORS:
            return _refusal(503, "temporarily_unavailable", "the database does not answer; try again shortly", 1)
        return JSONResponse(answer, headers=NEVER_STORED)

    @routes.post(
        "/token",
        response_model=TokenAnswer,
        responses=_REFUSALS,
        openapi_extra=_TOKEN_BODY,
        summary="A token for a backend service (client_credentials with private_key_jwt)",
    )
    async def token(request: Request) -> Response:
        return await answered(issue_token, request)

    @routes.post(
        "/introspect",
        response_model=IntrospectionAnswer,
        responses=_REFUSALS,
        openapi_extra=_INTROSPECTION_BODY,
        summary="Whether a token is good, for registered clients of its tenant (RFC 7662)",
    )
    async def introspection(request: Request) -> Response:
        return await answered(introspect, request)

    @routes.get("/jwks.json", summary="The public keys that verify our tokens (RFC 7517)")
    async def jwks() -> Response:
        return JSONResponse(issuer.public_keys, headers={"Cache-Control": "public, max-age=300"})

    return routes


def smart_configuration(issuer_url: str) -> dict[str, Any]:
    """The document, with absolute URLs. `code_challenge_methods_supported` is required even without app launch."""
    return {
        "token_endpoint": f"{issuer_url.rstrip('/')}/token",
        "introspection_endpoint": f"{issuer_url.rstrip('/')}/introspect",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": sorted(ALGORITHMS, reverse=True),
        "scopes_supported": ["system/*.rs", "system/*.cruds", "user/*.rs", "user/*.cruds", "patient/*.rs"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-asymmetric", "permission-v2", "permission-v1"],
    }


async def _form(request: Request) -> dict[str, str]:
    """The form fields, each given once. Raises OAuthError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise OAuthError("invalid_request", f"the body must be {FORM}")
    if "authorization" in request.headers:
        raise OAuthError("invalid_request", "a client proves itself by client_assertion alone, without Authorization")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES_MAX:
            raise OAuthError("invalid_request", f"the body is longer than {FORM_BYTES_MAX} bytes")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError as error:
        raise OAuthError("invalid_request", f"the body is not {FORM}") from error
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthError("invalid_request", "a form field is given twice")
    return form


def _refusal(status: int, code: str, description: str, retry_after_seconds: int | None = None) -> Response:
    refusal = {"error": code, "error_description": description}
    waiting = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    return JSONResponse(refusal, status_code=status, headers={**NEVER_STORED, **waiting})
