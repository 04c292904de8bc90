"""The running services keep what their OpenAPI documents say, under requests that schemathesis makes up.

Short here; `make fuzz` runs it for longer (FUZZ_SECONDS for each service).
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import make_private_key, public_key_set
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.cli.access import add_client
from stepwell_shared.http_client import HttpResponse
from stepwell_shared.settings import SERVICES

from tests.schema.credentials import variables
from tests.support.suite import NORTH, Clinic, Suite, running_suite

# Without FUZZ_SECONDS a short run: what is said by examples, at the edges of every schema, and along the links.
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "4"))
PHASES = "examples,coverage,fuzzing,stateful" if "FUZZ_SECONDS" in os.environ else "examples,coverage,stateful"
SEED = os.environ.get("FUZZ_SEED", "1")
TESTER = f"{NORTH}.tester"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
FHIR_JSON = "application/fhir+json"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Four services, and a client that may do everything, so that no answer is only that it may not."""
    with running_suite(tmp_path_factory.mktemp("schema")) as running:
        settings = running.deployment.access()
        key = make_private_key(settings.key_file(TESTER))
        client = Client(
            TESTER,
            Scopes.parse("system/*.cruds user/*.cruds"),
            jwks=public_key_set((key,)),
            roles=("clinician", "coordinator"),
            fhir_user=f"Practitioner/{NORTH}-clinician",
        )
        asyncio.run(add_client(settings, client, replace=True))
        yield running


async def test_every_documented_example_is_accepted_as_it_stands(suite: Suite) -> None:
    accepted = set()
    async with suite.clinic(name="tester") as client:
        for service in SERVICES:
            document = (await client.http.request("GET", suite.deployment.url_of(service)[:-4] + "openapi.json")).json()
            for path, method, example in examples_of(document):
                if "/{id}/$" in path:
                    continue  # about a Task that only a positive item nine opens; its own tests send it
                answer = await send(client, service, path, method, example)
                assert answer.status_code in {200, 201}, f"{method} {path}: {answer.text}"
                assert '"severity":"error"' not in answer.text, f"{method} {path}: {answer.text}"
                accepted.add(example["resourceType"])
    assert {"Patient", "QuestionnaireResponse", "Subscription", "Observation", "Organization", "Bundle"} <= accepted


@pytest.mark.timeout(FUZZ_SECONDS * 3 + 120)
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_keeps_what_its_document_says(suite: Suite, service: str, tmp_path: Path) -> None:
    url = f"{suite.deployment.url_of(service).removesuffix('/fhir')}/openapi.json"
    ran = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "schemathesis.cli",
                "--config-file",
                str(CONFIGURATION),
                "run",
                url,
            ),
            *(
                "--checks",
                "all",
                "--max-time",
                str(FUZZ_SECONDS),
                "--seed",
                SEED,
                "--no-color",
                "--warnings",
                "off",
            ),
            *("--phases", PHASES, "--generation-database", "none", "--continue-on-failure"),
        ],
        env={**os.environ, **variables(suite.deployment.access(), TESTER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-5_000:]
    log = suite.processes.log_of(service).read_text(encoding="utf-8")
    assert '"level": "error"' not in log


def examples_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, method, body) of every example; updates first, for they say under which id others find it."""
    for method in ("put", "post"):
        for path, item in document["paths"].items():
            content = item.get(method, {}).get("requestBody", {}).get("content", {}).get(FHIR_JSON, {})
            for example in content.get("examples", {}).values():
                yield path, method, example["value"]


async def send(client: Clinic, service: str, path: str, method: str, example: dict[str, Any]) -> HttpResponse:
    address = path.removeprefix(f"/{service}/fhir").removeprefix("/").replace("{id}", str(example.get("id")))
    return await client.call(method.upper(), service, address, resource=example)
