"""The repository speaks of the product alone, and its lock covers what the packages ask for."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "services/screening", "services/routing", "services/referral", "services/measurement")

# Written in pieces so that this file does not name what it forbids.
MACHINE_PATHS = [f"/{name}/" for name in ("work", "root", "home")]
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("maven", "org"),
        ("deb", "debian", "org"),
    )
]


def tracked_files() -> Iterator[tuple[str, str]]:
    """Path and text of every file that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def direct_dependencies() -> set[str]:
    """Normalised names of everything that some pyproject.toml asks for."""
    asked: list[str] = []
    for folder in (".", *PACKAGES):
        content = tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))
        asked += content["project"]["dependencies"]
        for group in (
            *content["project"].get("optional-dependencies", {}).values(),
            *content.get("dependency-groups", {}).values(),
        ):
            asked += group
        asked += content.get("build-system", {}).get("requires", [])
    names = {normalised(re.split(r"[\s\[<>=!~;(]", requirement, maxsplit=1)[0]) for requirement in asked}
    return {name for name in names if not name.startswith("stepwell-")}


def normalised(name: str) -> str:
    """A package name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock_text() -> str:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: nothing says which files are ours")
def test_no_file_names_a_path_of_a_machine_or_a_package_registry() -> None:
    forbidden = re.compile(
        "|".join(rf"(?<![\w.])({re.escape(path)})" for path in MACHINE_PATHS)
        + "|"
        + "|".join(map(re.escape, REGISTRY_HOSTS))
    )
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in tracked_files()
        for number, line in enumerate(text.splitlines(), 1)
        if forbidden.search(line)
    ]
    assert found == []


def test_the_lock_pins_every_direct_dependency() -> None:
    pinned = {normalised(match) for match in re.findall(r"^([\w.-]+)==", lock_text(), re.MULTILINE)}
    missing = direct_dependencies() - pinned
    assert missing == set(), "run `make lock`"


def test_the_lock_has_a_hash_for_every_pin_and_no_address() -> None:
    entries = re.split(r"^(?=\S)", lock_text(), flags=re.MULTILINE)[1:]
    assert len(entries) > 20
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock_text()


def test_the_lock_of_uv_itself_is_one_pinned_version_with_hashes() -> None:
    entries = re.split(r"^(?=\S)", (ROOT / "shared/scripts/uv.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert [entry.split("==")[0] for entry in entries] == ["uv"]
    assert "--hash=sha256:" in entries[0]
