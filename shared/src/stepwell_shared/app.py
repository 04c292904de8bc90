"""Start here: one web application per service, assembled from its declarations. The same for all four."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.endpoints import issuer_router, smart_configuration
from stepwell_shared.auth.service_tokens import ServiceTokens
from stepwell_shared.auth.verification import TokenVerifier
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.capability import capability_statement
from stepwell_shared.fhir.routes import FHIR_JSON, Door, fhir_routes
from stepwell_shared.http_client import http_client
from stepwell_shared.runtime import Runtime, Service, open_runtime, tenants
from stepwell_shared.settings import Settings

STARTED_ON = datetime(2026, 11, 21, tzinfo=UTC)
