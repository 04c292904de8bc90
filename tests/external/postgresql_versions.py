"""Migrations, the main journey and tests of the engine on every PostgreSQL that is promised: 15 and newer.

The packages of npm carry servers of each version, whose shared libraries need the links that npm does not keep.
"""

import json
import os
import platform
import subprocess
from pathlib import Path

from tests.clients.install import install_node_packages
from tests.external.engine_tests import ON_ANOTHER_VERSION, passes
from tests.external.tools import SkippedError
from tests.support.installation import BINARIES

FOLDER = Path(__file__).parent / "postgresql"


def run() -> bool:
    """Whether all of them pass on every version. Raises SkippedError where the servers cannot be had."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise SkippedError("its servers are for Linux on x86-64")
    install_node_packages(FOLDER)
    good = True
    for name in sorted(json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]):
        binaries = _linked(FOLDER / "node_modules" / name)
        print(f"{_version(binaries)} ...", flush=True)
        good &= passes(ON_ANOTHER_VERSION, {BINARIES: str(binaries)})
    return good


def _linked(package: Path) -> Path:
    """The folder of the server's programs, with the links that they need, where any user can execute them."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text(encoding="utf-8")):
        target, source = package / link["target"], package / link["source"]
        if not target.is_symlink():
            target.symlink_to(os.path.relpath(source, target.parent))
    binaries = package / "native" / "bin"
    for program in binaries.iterdir():
        program.chmod(0o755)
    return binaries


def _version(binaries: Path) -> str:
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return said.strip()
