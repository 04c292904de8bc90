"""An issuer of somebody else on a port of this machine, which publishes its keys and answers introspections."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class ForeignIssuer:
    """What it says is what a test has put in; every request is kept."""

    url: str = ""
    keys: list[ECKey | RSAKey] = field(default_factory=list)
    tokens: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    fetched: int = 0
    silent: asyncio.Event | None = None
    answer: Response | None = None

    def token(self, claims: Mapping[str, Any], algorithm: str = "RS256", **header: Any) -> str:
        """A token signed with the first key."""
        key = self.keys[0]
        return jwt.encode({"alg": algorithm, "kid": key.kid, **header}, dict(claims), key, algorithms=[algorithm])

    async def publish(self, _request: Request) -> Response:
        self.fetched += 1
        return JSONResponse({"keys": [{**key.as_dict(private=False), "use": "sig"} for key in self.keys]})

    async def introspect(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        self.asked.append({**form, "authorization": request.headers.get("authorization", "")})
        if self.silent is not None:
            await self.silent.wait()
        return self.answer or JSONResponse(self.tokens.get(form.get("token", ""), {"active": False}))


@asynccontextmanager
async def foreign_issuer() -> AsyncIterator[ForeignIssuer]:
    """The issuer, served while the context lasts."""
    issuer = ForeignIssuer()
    app = Starlette(routes=[Route("/jwks", issuer.publish), Route("/introspect", issuer.introspect, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    issuer.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield issuer
    finally:
        if issuer.silent is not None:
            issuer.silent.set()
        server.should_exit = True
        await serving
        listener.close()
