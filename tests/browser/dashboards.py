"""The dashboards in headless Chromium: signed in to by a link, every page held to WCAG by axe, narrow, wide and on
paper, walked by keyboard to a definition, and without scripts.

`python -m tests.external dashboards` runs it; BROWSER_PICTURES names a folder for a picture of each state.
"""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from stepwell_shared.cli.access import fetch_token
from stepwell_shared.cli.client import register
from stepwell_shared.http_client import http_client

from tests.browser.playing import play, ready
from tests.services.measurement.boards import END, MADE, START, board
from tests.support.suite import NORTH, Suite, running_suite

SITE = {NORTH: {"publicDashboard": {"region": "North Valley"}}}
_KEEP = """INSERT INTO dashboard_sheet (tenant, measure, made_at, start_on, end_on, body)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant, measure) DO UPDATE SET made_at = $3, start_on = $4, end_on = $5, body = $6"""

Resource = dict[str, Any]


def run() -> bool:
    """Prints what was looked at and what was wrong; whether nothing was. Runs inside `postgres.test_run()`."""
    ready()
    with tempfile.TemporaryDirectory() as folder, running_suite(Path(folder), ("screening", "measurement")) as suite:
        suite.deployment.site_file.write_text(json.dumps(SITE), encoding="utf-8")
        return asyncio.run(_look(suite, Path(folder)))


async def _look(suite: Suite, folder: Path) -> bool:
    await register(suite.deployment, f"{NORTH}.board", "leader", "Practitioner/board")
    await _fill(suite)
    base = suite.deployment.url_of("measurement").removesuffix("/fhir") + "/dashboard"
    plan = {
        "base": base,
        "link": await _link(suite, base),
        "tenant": NORTH,
    }
    findings = await asyncio.to_thread(play, "dashboards", plan, folder)
    for finding in findings:
        print(f"error\t{finding}")
    return not findings


async def _link(suite: Suite, base: str) -> str:
    token = await fetch_token(suite.deployment.access(), f"{NORTH}.board")
    async with http_client() as http:
        answer = await http.request("POST", f"{base}/sign-in", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code != 200:
        raise SystemExit(f"measurement gives no link: {answer.status_code} {answer.text}")
    return str(answer.json()["link"])


async def _fill(suite: Suite) -> None:
    """The figures of a region that does not exist."""
    connection = await asyncpg.connect(suite.deployment.databases["measurement"].runtime)
    try:
        async with connection.transaction():
            await connection.execute("SELECT set_config('stepwell.tenant', $1, true)", NORTH)
            # Nobody makes others in their place.
            await connection.execute(_KEEP, NORTH, "", MADE.replace(year=2099), START, END, "")
            for name, sheet in board().sheets.items():
                await connection.execute(_KEEP, NORTH, name, MADE, START, END, msgspec.json.encode(sheet).decode())
    finally:
        await connection.close()
