"""Alert rules by Prometheus's tools; a real Prometheus at a suite answers every query of dashboards and rules."""

import asyncio
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml
from stepwell_shared.cli.processes import free_port
from stepwell_shared.settings import SERVICES

from tests.external.tools import need_programs
from tests.support.suite import Suite, running_suite

TELEMETRY = Path(__file__).parents[2] / "deploy" / "telemetry"
PHQ_9_OF_16 = (2, 2, 2, 2, 2, 2, 2, 2, 0)
READY_SECONDS_MAX = 120.0
# What Grafana would put in the place of its variables.
VARIABLES = {"$service": ".*", "$__rate_interval": "30s"}
# What a suite that has just started has nothing of: refusals, and safety Tasks.
MAY_BE_EMPTY = ("stepwell_requests_refused_total", "stepwell_safety_tasks", 'status="5xx"', 'status="error"')


def check() -> bool:
    """Whether the files are well-formed, the alerts do what their tests say, and every query finds what it asks for."""
    need_programs("Prometheus", ("prometheus",), ("promtool", "prometheus"))
    good = all(
        _said(["promtool", *words])
        for words in (
            ["check", "config", "prometheus.yaml"],
            ["check", "rules", "alerts.yaml"],
            ["test", "rules", "alerts.test.yaml"],
        )
    )
    with tempfile.TemporaryDirectory(prefix="stepwell-telemetry-") as name:
        folder = Path(name)
        with running_suite(folder / "suite") as suite, _prometheus(folder, suite) as url:
            asyncio.run(_main_job(suite))
            return _answers(url) and _evaluates(url) and good


def _said(command: Sequence[str]) -> bool:
    done = subprocess.run(command, cwd=TELEMETRY, capture_output=True, text=True, check=False)
    print(f"{' '.join(command)}: {'well' if done.returncode == 0 else done.stdout + done.stderr}")
    return done.returncode == 0


@contextmanager
def _prometheus(folder: Path, suite: Suite) -> Iterator[str]:
    """A Prometheus that scrapes the suite each second; its URL."""
    config = yaml.safe_load((TELEMETRY / "prometheus.yaml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(TELEMETRY / "alerts.yaml")]
    config["scrape_configs"][0]["static_configs"] = [
        {"targets": [f"127.0.0.1:{suite.deployment.ports[service]}"], "labels": {"service": service}}
        for service in SERVICES
    ]
    path, port = folder / "prometheus.yaml", free_port()
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        *("prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"),
    ]
    process = subprocess.Popen(command)
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait()


async def _main_job(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        for _ in range(3):
            patient = await clinic.patient()
            await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient))
            await clinic.wait_for("referral", "Task", subject=f"Patient/{patient['id']}")
            await asyncio.sleep(2)  # several scrapes see it, so that there are rates


def _asked(url: str, path: str, **parameters: str) -> Any:
    """Raises OSError when Prometheus refuses the query."""
    with urlopen(f"{url}/{path}?{urlencode(parameters)}", timeout=30) as answer:
        found = json.load(answer)
    return found["data"]


def _queries() -> Iterator[tuple[str, str]]:
    for path in sorted((TELEMETRY / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_bytes())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"]


def _answers(url: str) -> bool:
    """Whether every query of the dashboards is answered, and with something where there must be something."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    left = list(_queries())
    print(f"{len(left)} queries of the dashboards")
    while left and time.monotonic() < deadline:
        left = [(title, query) for title, query in left if not _is_answered(url, query)]
        time.sleep(1 if left else 0)
    for title, query in left:
        print(f"error\tnothing is found for {title}: {query}")
    return not left


def _is_answered(url: str, query: str) -> bool:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    try:
        found = _asked(url, "query", query=query)["result"]
    except OSError as error:
        print(f"waits\t{error}\t{query}")
        return False
    return bool(found) or any(each in query for each in MAY_BE_EMPTY)


def _evaluates(url: str) -> bool:
    """Whether Prometheus has evaluated every rule without a fault, and none of a healthy suite fires."""
    rules = [rule for group in _asked(url, "rules")["groups"] for rule in group["rules"]]
    ill = [rule["name"] for rule in rules if rule["health"] != "ok"]
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    named = set(re.findall(r"alert: (\w+)", (TELEMETRY / "alerts.yaml").read_text(encoding="utf-8")))
    print(f"{len(rules)} rules; not evaluated: {ill}; firing: {firing}")
    return {rule["name"] for rule in rules} == named and not ill and not firing
