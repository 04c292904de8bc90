"""Fetches JWK sets, and asks about tokens, at addresses of others without becoming their way into our own network."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stepwell_shared.http_client import AddressError, HttpClient, HttpError, HttpResponse, Target, public_target

BYTES_MAX: Final = 65_536
SECONDS_MAX: Final = 5.0
_JSON_AS_IT_IS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
_MAX_AGE = re.compile(r"max-age=(\d{1,9})")


class FetchError(Exception):
    """There was no answer that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A JSON document with how long its sender lets us keep it; None when the sender does not say."""

    content: Any
    seconds_max: int | None


async def fetch_json(http: HttpClient, url: str, *, guarded: bool = True) -> Fetched:
    """A small JSON document. Raises FetchError.

    Guarded means: https only, and only from addresses of the public internet. The address is looked up once and
    that very address is connected to, so that a name cannot answer differently the second time.
    """
    return await _exchanged(http, "GET", url, guarded=guarded, seconds_max=SECONDS_MAX)


async def post_form(
    http: HttpClient,
    url: str,
    form: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    guarded: bool = True,
    seconds_max: float = SECONDS_MAX,
) -> Any:
    """The small JSON document with which a form is answered; guarded as above. Raises FetchError."""
    return (await _exchanged(http, "POST", url, form, headers, guarded=guarded, seconds_max=seconds_max)).content


async def _exchanged(
    http: HttpClient,
    method: str,
    url: str,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    guarded: bool,
    seconds_max: float,
) -> Fetched:
    try:
        async with asyncio.timeout(seconds_max):
            target = await _target(url, guarded=guarded)
            async with http.stream(
                method,
                target.url,
                data=form,
                headers={**_JSON_AS_IT_IS, **(headers or {}), **target.headers},
                extensions=target.extensions,
            ) as response:
                return Fetched(json.loads(await _body(response)), _lifetime(response))
    except (HttpError, TimeoutError) as error:
        raise FetchError(f"{url} does not answer") from error
    except (ValueError, RecursionError) as error:
        raise FetchError(f"{url} does not answer with JSON") from error


async def _body(response: HttpResponse) -> bytes:
    if response.status_code != 200:
        raise FetchError(f"{response.request.url.host} answered {response.status_code} instead of 200")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchError(f"{response.request.url.host} answered compressed, which was not asked for")
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > BYTES_MAX:
            raise FetchError(f"{response.request.url.host} answered with more than {BYTES_MAX} bytes")
    return body


async def _target(url: str, *, guarded: bool) -> Target:
    try:
        return await public_target(url) if guarded else Target(url)
    except AddressError as error:
        raise FetchError(str(error)) from error


def _lifetime(response: HttpResponse) -> int | None:
    control = response.headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return 0
    found = _MAX_AGE.search(control)
    return int(found.group(1)) if found else None
