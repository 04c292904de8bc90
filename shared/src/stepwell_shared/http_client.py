"""The one place that imports the HTTP client library, so that its successor can be taken in one line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

HttpClient = httpx.AsyncClient
HttpError = httpx.HTTPError
HttpResponse = httpx.Response


@asynccontextmanager
async def http_client(*, timeout_seconds: float = 10.0, connections_max: int = 32) -> AsyncIterator[HttpClient]:
    """A client that keeps connections alive and follows no redirect: a peer that moved is a setting to change."""
    limits = httpx.Limits(max_connections=connections_max, max_keepalive_connections=connections_max)
    async with httpx.AsyncClient(timeout=timeout_seconds, limits=limits, follow_redirects=False) as client:
        yield client
