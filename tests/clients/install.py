"""Brings the clients onto this machine: npm's by package-lock.json, PyPI's into a venv of their own, both by hash."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.external.tools import NETWORK_TROUBLE, SkippedError

ROOT = Path(__file__).parents[2]
NODE = Path(__file__).parent / "node"
REQUIREMENTS = Path(__file__).parent / "python" / "requirements.lock"
VENV = ROOT / "build" / "clients" / "venv"
NODE_VERSION_MIN = (20, 19)


def install_node_packages(folder: Path = NODE) -> None:
    """What a folder's lock pins. Raises SkippedError when there is no Node.js that is new enough, or no way to the
    packages."""
    node, npm = shutil.which("node"), shutil.which("npm")
    wanted = ".".join(map(str, NODE_VERSION_MIN))
    if node is None or npm is None:
        raise SkippedError(f"needs Node.js {wanted} or newer with npm")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(map(int, re.findall(r"\d+", said)[:2])) < NODE_VERSION_MIN:
        raise SkippedError(f"needs Node.js {wanted} or newer; {node} is {said}")
    once(
        folder / "node_modules" / ".installed",
        folder / "package-lock.json",
        # Nothing but what the lock pins; no package may run a script of its own on installation.
        [npm, "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        folder,
    )


def install_python_packages() -> Path:
    """The interpreter of the clients' venv. Raises SkippedError when there is no way to the packages."""
    return python_with(REQUIREMENTS, VENV)


def python_with(requirements: Path, venv: Path) -> Path:
    """The interpreter of a venv that has these packages, made if need be. Raises SkippedError without a way to them."""
    python, uv = venv / "bin" / "python", Path(sys.executable).parent / "uv"
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "--requirement", requirements]
    once(venv / ".installed", requirements, [*map(str, install)], ROOT)
    return python


def versions() -> dict[str, str]:
    """The versions that the locks pin, by package name, for the report."""
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE))
    package = (NODE / "package.json").read_text(encoding="utf-8")
    return {**pinned, **{f"npm {name}": number for name, number in re.findall(r'"([@\w/-]+)": "(\d[\w.]*)"', package)}}


def once(mark: Path, lock: Path, command: list[str], folder: Path) -> None:
    """Runs the installation unless it has been done since the lock was written."""
    if mark.exists() and mark.stat().st_mtime > lock.stat().st_mtime:
        return
    print(f"{' '.join(Path(part).name for part in command[:3])} ...", flush=True)
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    if done.returncode != 0 and any(trouble in output for trouble in NETWORK_TROUBLE):
        raise SkippedError("the packages could not be downloaded")
    if done.returncode != 0:
        raise SystemExit(f"the installation failed:\n{output}")
    mark.touch()
