"""A positive safety submission that is killed (SIGKILL) at a chosen line of ours, and again at the next.

Run as `python -m tests.support.dying DATABASE_URL FOLDER POINTS`: forks a child for each attempt, waits for it, and
prints one JSON line for each: where it died (null: it did not), and what it had answered by then.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from stepwell_screening.app import service
from stepwell_screening.instruments import instruments
from stepwell_shared.fhir import validation
from stepwell_shared.runtime import Runtime, open_runtime
from stepwell_shared.settings import SERVICES, Settings

from tests.services.screening.submitting import EHR, form
from tests.support.runtime import URLS, http_of

OURS = ("stepwell_screening", "stepwell_shared")
# The last lines before the answer, beside points that are spread over all of them.
FROM_THE_END = (1, 4, 16, 64)


def settings_for(database_url: str, folder: Path) -> Settings:
    """Settings of a process on this database."""
    key_file = folder / "service-key.json"
    key_file.write_text("a key that signs nothing")
    return Settings.model_validate(
        {
            "database_url": database_url,
            "service_key_file": key_file,
            "issuer_url": "https://stepwell.example/screening/auth",
            "database_connections_max": 2,
            **{f"{name}_url": URLS[name] for name in SERVICES},
        }
    )


class Lines:
    """Counts the lines of ours that run; dies at the one that it was told."""

    def __init__(self, die_at: int | None) -> None:
        self.count = 0
        self._die_at = die_at

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        if not any(part in frame.f_code.co_filename for part in OURS):
            return None
        if event == "line":
            self.count += 1
            if self.count == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


async def submit(settings: Settings, id_: str, die_at: int | None) -> tuple[int, int]:
    """Sends one response through the door; its status, and how many lines it took."""
    runtime = Runtime()
    registry = service.resources(runtime)
    async with open_runtime(service, registry, runtime, settings) as opened, http_of(opened, service) as client:
        await client.get("Patient/p1", headers=EHR)  # connections and caches are there, as in a process that serves
        lines = Lines(die_at)
        sys.settrace(lines)
        answer = await client.put(f"QuestionnaireResponse/{id_}", json=form(1, id=id_), headers=EHR)
        sys.settrace(None)
        return answer.status_code, lines.count


def attempt(settings: Settings, id_: str, die_at: int | None) -> dict[str, Any]:
    """One child: what it answered, if it came so far."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status, count = asyncio.run(submit(settings, id_, die_at))
        os.write(writing, json.dumps({"status": status, "lines": count}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, code = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(code) and os.WTERMSIG(code) == signal.SIGKILL
    return {"id": id_, "killed": killed, "die_at": die_at, **(json.loads(said) if said else {})}


def main(database_url: str, folder: str, points: str) -> None:
    """A whole run first, which tells how many lines there are; then as many deaths as asked for."""
    settings = settings_for(database_url, Path(folder))
    instruments()  # what a serving process has long compiled is inherited by every child
    validation.check(json.dumps(form(1)).encode(), "QuestionnaireResponse")
    whole = attempt(settings, "whole", None)
    print(json.dumps(whole), flush=True)
    lines, wanted = whole["lines"], int(points)
    spread = {1 + (lines - 1) * number // (wanted - 1) for number in range(wanted)}
    for die_at in sorted(spread | {lines - back for back in FROM_THE_END}):
        print(json.dumps(attempt(settings, f"at-{die_at}", die_at)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
