"""Fetches JWK sets from addresses that others gave us, without becoming their way into our own network."""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from stepwell_shared.http_client import AddressError, HttpClient, HttpError, HttpResponse, Target, public_target

BYTES_MAX: Final = 65_536
SECONDS_MAX: Final = 5.0
_MAX_AGE = re.compile(r"max-age=(\d{1,9})")


class FetchError(Exception):
    """The keys could not be fetched; the message says why."""


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
    target = await _target(url, guarded=guarded)
    try:
        async with asyncio.timeout(SECONDS_MAX):
            async with http.stream(
                "GET",
                target.url,
                headers={"Accept": "application/json", "Accept-Encoding": "identity", **target.headers},
                extensions=target.extensions,
            ) as response:
                return Fetched(json.loads(await _body(response)), _lifetime(response))
    except (HttpError, TimeoutError) as error:
        raise FetchError(f"{url} does not answer") from error
    except (ValueError, RecursionError) as error:
        raise FetchError(f"{url} does not answer with JSON") from error


async def _body(response: HttpResponse) -> bytes:
    if response.status_code != 200:
        raise FetchError(f"{response.request.url.host} answered {response.status_code} instead of keys")
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
