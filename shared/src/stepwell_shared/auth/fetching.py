"""Fetches JWK sets from addresses that others gave us, without becoming their way into our own network."""

import asyncio
import ipaddress
import json
import re
from dataclasses import dataclass
from socket import gaierror
from typing import Any, Final
from urllib.parse import urlsplit

from stepwell_shared.http_client import HttpClient, HttpError, HttpResponse

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
    target, headers, extensions = (await _public(url)) if guarded else (url, {}, {})
    try:
        async with asyncio.timeout(SECONDS_MAX):
            async with http.stream(
                "GET",
                target,
                headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
                extensions=extensions,
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


async def _public(url: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The same address with the host's number in place of its name, and what TLS and HTTP need beside it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError as error:
        raise FetchError(f"{url} is not a URL") from error
    if parts.scheme != "https" or not host or parts.username or parts.password:
        raise FetchError(f"{url} must be an https URL without a login in it")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port)
    except (gaierror, UnicodeError) as error:
        raise FetchError(f"the host of {url} is not known") from error
    numbers = [ipaddress.ip_address(str(address[4][0]).partition("%")[0]) for address in found]
    if not numbers or not all(number.is_global and not number.is_multicast for number in numbers):
        raise FetchError(f"{url} is not on the public internet")
    number = f"[{numbers[0]}]" if numbers[0].version == 6 else str(numbers[0])
    target = parts._replace(netloc=f"{number}:{port}", fragment="").geturl()
    return target, {"Host": parts.netloc}, {"sni_hostname": host}


def _lifetime(response: HttpResponse) -> int | None:
    control = response.headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return 0
    found = _MAX_AGE.search(control)
    return int(found.group(1)) if found else None
