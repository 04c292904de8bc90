"""The one place that imports the HTTP client library, so that its successor can be taken in one line.

What others tell us to call is called through `public_target`, so that it is no way into our own network.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from socket import gaierror
from typing import Any
from urllib.parse import urlsplit

import httpx

HttpClient = httpx.AsyncClient
HttpError = httpx.HTTPError
HttpResponse = httpx.Response

# Public hosts of version 6 are in 2000::/3 (RFC 4291); what 6to4 wraps up is an address of version 4 (RFC 3056).
_UNICAST, _SIX_TO_FOUR = IPv6Network("2000::/3"), IPv6Network("2002::/16")
# Where networks without version 4 find its hosts: the last 32 bits are their address (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")
# Numbers at which platforms answer their own machines alone, though they look public: Oracle's and Azure's.
_PLATFORM = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))


@asynccontextmanager
async def http_client(*, timeout_seconds: float = 10.0, connections_max: int = 32) -> AsyncIterator[HttpClient]:
    """A client that keeps connections alive and follows no redirect: a peer that moved is a setting to change."""
    limits = httpx.Limits(max_connections=connections_max, max_keepalive_connections=connections_max)
    async with httpx.AsyncClient(
        verify=_trust(), timeout=timeout_seconds, limits=limits, follow_redirects=False
    ) as client:
        yield client


@cache
def _trust() -> ssl.SSLContext:
    """Whose certificates are believed; to read them takes as long as many a call, so that all clients share them."""
    return httpx.create_ssl_context()


class AddressError(Exception):
    """An address that must not be called; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to, and what HTTP and TLS need beside it."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)


async def public_target(url: str) -> Target:
    """The same address with the host's number in place of its name, if it is https on the public internet.

    The name is looked up once and that very number is connected to, so that it cannot answer differently the second
    time. The connection is not kept: another name of the same number must show its own certificate. Raises
    AddressError.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError as error:
        raise AddressError(f"{url} is not a URL") from error
    if parts.scheme != "https" or not host or parts.username or parts.password:
        raise AddressError(f"{url} must be an https URL without a login in it")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port)
    except (gaierror, UnicodeError) as error:
        raise AddressError(f"the host of {url} is not known") from error
    numbers = [ip_address(str(address[4][0]).partition("%")[0]) for address in found]
    if not numbers or not all(_is_public(number) for number in numbers):
        raise AddressError(f"{url} is not on the public internet")
    number = f"[{numbers[0]}]" if numbers[0].version == 6 else str(numbers[0])
    target = parts._replace(netloc=f"{number}:{port}", fragment="").geturl()
    return Target(target, {"Host": parts.netloc, "Connection": "close"}, {"sni_hostname": host})


def _is_public(number: IPv4Address | IPv6Address) -> bool:
    """Whether the number is one host of the public internet, however it is written."""
    if isinstance(number, IPv6Address):
        if number in _NAT64:
            return _is_public(IPv4Address(int(number) & 0xFFFFFFFF))
        if number not in _UNICAST or number in _SIX_TO_FOUR:
            return False
    elif any(number in network for network in _PLATFORM):
        return False
    return number.is_global and not number.is_multicast


class RefusedAddressError(AddressError, httpx.TransportError):
    """A guarded client was about to call an address that it must not call; for its caller, nobody answers there."""


class _Guard(httpx.AsyncBaseTransport):
    """Sends requests to `public_target` unless their URL is one that `is_configured` vouches for."""

    def __init__(self, inner: httpx.AsyncBaseTransport, is_configured: Callable[[str], bool]) -> None:
        self._inner = inner
        self._is_configured = is_configured

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._is_configured(str(request.url)):
            try:
                target = await public_target(str(request.url))
            except AddressError as error:
                raise RefusedAddressError(str(error)) from error
            request.url = httpx.URL(target.url)
            request.headers.update(target.headers)
            request.extensions = {**request.extensions, **target.extensions}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def guarded_client(
    is_configured: Callable[[str], bool], *, connections_max: int = 32
) -> AsyncIterator[HttpClient]:
    """A client for addresses that others gave us: all that is not configured must be https on the public internet.

    Its time-outs bound the silence of the peer and not the whole exchange: a slow link may take its time.
    """
    limits = httpx.Limits(max_connections=connections_max, max_keepalive_connections=connections_max)
    guard = _Guard(httpx.AsyncHTTPTransport(verify=_trust(), limits=limits), is_configured)
    timeouts = httpx.Timeout(30.0, connect=10.0, pool=10.0)
    async with httpx.AsyncClient(transport=guard, timeout=timeouts, follow_redirects=False) as client:
        yield client
