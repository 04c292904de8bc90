"""Every resource that we define, and every one that tests and a journey make the services emit."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "emitted"


@cache
def collect() -> tuple[Path, Path]:
    """The folder of what we define, and that of all resources, ours and emitted: once for all checks of a run.

    Raises SystemExit when a test that emits resources fails.
    """
    definitions, corpus = BUILD / "definitions", BUILD / "corpus"
    for folder in (definitions, corpus):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for name, definition in _definitions():
        text = json.dumps(definition, ensure_ascii=False)
        (definitions / name).write_text(text, encoding="utf-8")
        (corpus / f"definition-{name}").write_text(text, encoding="utf-8")
    print("collecting what the services emit ...", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests", f"--corpus={corpus}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"a test that emits resources failed:\n{done.stdout[-20_000:]}\n{done.stderr[-5000:]}")
    return definitions, corpus


def _definitions() -> Iterator[tuple[str, dict[str, object]]]:
    """Our code systems and every FHIR resource that a service ships as data, with a file name."""
    for pattern in ("services/*/src/*/data/**/*.json", "shared/src/*/terminology/*.json"):
        for path in sorted(ROOT.glob(pattern)):
            for number, resource in enumerate(_resources(json.loads(path.read_text(encoding="utf-8")))):
                yield f"{path.relative_to(ROOT).parts[1]}-{path.stem}-{number}.json", resource


def _resources(content: object) -> Iterator[dict[str, object]]:
    if isinstance(content, list):
        for each in content:
            yield from _resources(each)
    elif isinstance(content, dict) and content.get("resourceType") == "Bundle":
        yield from _resources([entry.get("resource") for entry in content.get("entry", [])])
    elif isinstance(content, dict) and isinstance(content.get("resourceType"), str):
        yield content
