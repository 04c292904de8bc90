"""The committed collections of requests, run by newman as Postman would at the four services."""

import asyncio
import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from stepwell_shared.settings import SERVICES

from tests.clients import install
from tests.clients.journeys import register_tester
from tests.support.suite import Suite, running_suite

NEWMAN = Path(__file__).parent / "newman"
COLLECTIONS = install.ROOT / "openapi" / "collections"
SECONDS_MAX = 240


def run() -> bool:
    """Sends every request of every collection; whether each was understood. Runs inside `postgres.test_run()`."""
    install.install_node_packages(NEWMAN)
    good = True
    with tempfile.TemporaryDirectory() as folder, running_suite(Path(folder)) as suite:
        asyncio.run(register_tester(suite))
        for service in SERVICES:
            good &= _runs(suite, service, Path(folder), asyncio.run(_prepared(suite)))
    return good


async def _prepared(suite: Suite) -> str:
    """A token, once the person of the examples is there."""
    async with suite.clinic(name="tester") as clinic:
        person = {"resourceType": "Patient", "id": "example", "name": [{"family": "Example"}]}
        answer = await clinic.call("PUT", "screening", "Patient/example", resource=person)
        if answer.status_code not in {200, 201}:
            raise SystemExit(f"screening answered {answer.status_code}: {answer.text}")
        return await clinic.token()


def _runs(suite: Suite, service: str, folder: Path, token: str) -> bool:
    report = folder / f"{service}.json"
    base = suite.deployment.url_of(service).removesuffix(f"/{service}/fhir")
    arguments = [str(COLLECTIONS / f"{service}.postman_collection.json"), "--reporters", "json"]
    arguments += ["--reporter-json-export", str(report), "--env-var", f"token={token}", "--env-var", f"base={base}"]
    newman = NEWMAN / "node_modules" / "newman" / "bin" / "newman.js"
    done = subprocess.run(
        ["node", str(newman), "run", *arguments], capture_output=True, text=True, check=False, timeout=SECONDS_MAX
    )
    if not report.exists():
        print(f"error\tnewman wrote no report: {done.stderr[-2000:]}")
        return False
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))["run"]
    answers = Counter(each["response"]["code"] for each in found["executions"] if "response" in each)
    told = ", ".join(f"{count} times {code}" for code, count in sorted(answers.items()))
    print(f"{service}: {found['stats']['requests']['total']} requests; {told}")
    for failure in found["failures"]:
        print(f"error\t{service}\t{failure['source'].get('name', '')}\t{failure['error']['message']}")
    return not found["failures"] and bool(answers)
