"""A walk through pages in headless Chromium: its plan goes to a script of `node/`, its findings come back."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.clients import install
from tests.external.tools import need_chromium

NODE = Path(__file__).parent / "node"
SECONDS_MAX = 240


def ready() -> None:
    """Installs what a walk needs.

    Raises:
        Missing: where this machine has no Chromium and cannot have one.
    """
    need_chromium()
    install.install_node_packages(NODE)


def play(walk: str, plan: dict[str, Any], folder: Path) -> list[str]:
    """What the walk found wrong. Prints what it looked at; BROWSER_PICTURES names a folder for pictures of that."""
    file = folder / "plan.json"
    tools = {
        "chromium": need_chromium(),
        "axe": str(NODE / "node_modules" / "axe-core" / "axe.min.js"),
        "pictures": os.environ.get("BROWSER_PICTURES", ""),
        "walk": walk,
    }
    file.write_text(json.dumps({**plan, **tools}), encoding="utf-8")
    command = ["node", str(NODE / f"{walk}.mjs"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    looked = [line["looked"] for line in said if "looked" in line]
    print(f"  {len(looked)} pages: {', '.join(dict.fromkeys(looked))}")
    for line in said:
        if "milliseconds" in line:
            print(f"  {line['page']}: {line['milliseconds']} ms from the request to the last byte")
    findings = [line["finding"] for line in said if "finding" in line]
    if done.returncode != 0 or not looked:
        findings.append(f"the browser's journey ended with {done.returncode}: {done.stderr[-3000:]}")
    return findings
