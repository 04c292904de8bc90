"""A Go that is new enough: this machine's own, or PyPI's."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.clients.install import python_with

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "cluster" / "requirements.lock"
# What the modules of cluster/go.mod ask for.
VERSION_MIN = (1, 24)


def need_go() -> str:
    """Its program. Raises SkippedError when there is none, and no way to the package either."""
    found = shutil.which("go")
    if found is not None and _version(found) >= VERSION_MIN:
        return found
    python = python_with(REQUIREMENTS, ROOT / "build" / "go")
    (program,) = python.parents[1].glob("lib/python*/site-packages/go/bin/go")
    return str(program)


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout
    return tuple(map(int, re.findall(r"go(\d+)\.(\d+)", said)[0])) if "go1" in said else (0,)
