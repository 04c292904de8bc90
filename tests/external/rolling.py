"""A release that rolls through two processes of each service, with more clients than `make test` could bear.

What rolls out is the code of the last release, on the schema of this one: that of the commit that wrote its contract
(tests/deploy/released), where the checkout has its history.
"""

import io
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from stepwell_shared.settings import SERVICES

ROOT = Path(__file__).parents[2]
MUCH = {"ROLLING_PODS": "2", "ROLLING_CLIENTS": "4"}
CONTRACT = "tests/deploy/released"
PROJECTS = ("shared", *(f"services/{service}" for service in SERVICES))
INSTALLED = "installed"


def run() -> bool:
    """Whether no request failed, and nothing was lost or doubled."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-n", "0", "tests/external/test_rolling.py"]
    with TemporaryDirectory(prefix="stepwell-") as folder:
        before = {"ROLLING_BEFORE": _released(Path(folder))}
        environment = {**MUCH, **before, **os.environ}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout.strip() if done.returncode == 0 else done.stdout[-6000:] + done.stderr[-2000:])
    return done.returncode == 0


def _released(folder: Path) -> str:
    """Unpacks the sources of the last release; where Python finds them, or nothing if this checkout has no history."""
    try:
        is_shallow = _git("rev-parse", "--is-shallow-repository").strip() != b"false"
        commit = "" if is_shallow else _git("log", "-1", "--format=%H", "--", CONTRACT).decode().strip()
        packed = _git("archive", commit, *PROJECTS) if commit else b""
    except (OSError, subprocess.CalledProcessError):
        packed = b""
    if not packed:
        print("this checkout has no history: the same code rolls, with a schema that a next release could have")
        return ""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    for project in PROJECTS:
        _say_what_it_declares(folder / project / "pyproject.toml", folder / INSTALLED)
    print(f"from the code of {commit[:12]} to this one", flush=True)
    return os.pathsep.join(str(folder / each) for each in (INSTALLED, *(f"{project}/src" for project in PROJECTS)))


def _say_what_it_declares(project_file: Path, installed: Path) -> None:
    """Writes what an installation would of a package's entry points: those of this release are other ones."""
    project = tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]
    folder = installed / f"{project['name'].replace('-', '_')}-0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n", encoding="utf-8")
    groups = {f"[{name}]": group for name, group in project.get("entry-points", {}).items()}
    lines = [line for name, group in groups.items() for line in (name, *(f"{key} = {group[key]}" for key in group))]
    (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
