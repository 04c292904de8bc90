"""What the demo sends to the services of a suite."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from stepwell_shared.cli.asking import PatientClient, said
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import HttpResponse

FHIR_JSON, JSON_PATCH = "application/fhir+json", "application/json-patch+json"
NOBODY_ANSWERS = (
    "Start the suite with `stepwell run` in another terminal and run this again, or let this command start one:"
    " `stepwell demo --embedded`."
)

Body = Mapping[str, Any] | list[Any] | bytes


@dataclass(frozen=True)
class Sender:
    """One client of the suite whose services have these URLs."""

    client: PatientClient
    urls: Mapping[str, str]

    async def send(
        self,
        method: str,
        service: str,
        path: str,
        body: Body | None = None,
        *,
        allowed: frozenset[int] = frozenset(),
        **parameters: str,
    ) -> HttpResponse:
        """The answer. Raises SetupError as its client does, and when it is neither 2xx nor `allowed`."""
        address = self.urls[service] + (f"/{path}" if path else "")
        headers = {"Prefer": "return=minimal"}
        content = body if isinstance(body, bytes | None) else orjson.dumps(body)
        if content is not None:
            headers["Content-Type"] = JSON_PATCH if method == "PATCH" else FHIR_JSON
        answer = await self.client.ask(method, address, content=content, headers=headers, parameters=parameters)
        if not answer.is_success and answer.status_code not in allowed:
            raise SetupError(f"{address} refused what the demo sent ({answer.status_code}): {said(answer)}")
        return answer
