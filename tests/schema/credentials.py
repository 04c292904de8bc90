"""Loaded by schemathesis: a bearer token on every request, and what one of its checks cannot know about FHIR."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import AuthContext, Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import UseAfterFree
from stepwell_shared.cli.access import AccessSettings, fetch_token

SETTINGS = "STEPWELL_TESTER_SETTINGS"
CLIENT = "STEPWELL_TESTER_CLIENT"
TOKEN_SECONDS_USED = 200


@schemathesis.auth(refresh_interval=TOKEN_SECONDS_USED)
class Bearer:
    """The token of the client that the environment names, from the running suite's issuer."""

    def get(self, case: Case[Any], context: AuthContext) -> str:
        settings = AccessSettings.model_validate(json.loads(os.environ[SETTINGS]))
        return asyncio.run(fetch_token(settings, os.environ[CLIENT]))

    def set(self, case: Case[Any], data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Histories and the events of a Subscription outlive the resource that they tell of; addresses without an id tell
    of all that there are. $validate answers 200 with what is wrong: https://hl7.org/fhir/R4/resource-operation-validate.html
    """
    is_about_others = (
        any(part in case.path for part in ("/_history", "/$events", "/$status")) or "{id}" not in case.path
    )
    outlives = isinstance(failure, UseAfterFree) and is_about_others
    return not outlives and not (isinstance(failure, AcceptedNegativeData) and case.path.endswith("/$validate"))


def variables(settings: Any, client_id: str) -> dict[str, str]:
    """What this module needs in the environment of the run."""
    return {
        SETTINGS: json.dumps(settings.model_dump(mode="json")),
        CLIENT: client_id,
        "PYTHONPATH": str(Path.cwd()),
    }
