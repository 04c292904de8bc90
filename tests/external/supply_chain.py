"""What each service consists of: listed as CycloneDX, at the hashes of the lock, under licences that are allowed, and
without a vulnerability that is known.

The lists go to build/sbom/. Advisories come from the service that pip-audit asks, or from a copy of
https://github.com/pypa/advisory-database that SUPPLY_ADVISORIES names; where there is neither, that is said.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version

from tests.clients.install import once
from tests.external.tools import NETWORK_TROUBLE

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "supply"
LOCK = ROOT / "requirements.lock"
BUILD, LISTS = ROOT / "build" / "supply", ROOT / "build" / "sbom"
SERVICES = ("screening", "routing", "referral", "measurement")
OURS = "stepwell-"
ADVISORIES = "SUPPLY_ADVISORIES"
SPECIFICATION = "1.6"
UV = Path(sys.executable).parent / "uv"
AUDIT_TROUBLE = (
    *NETWORK_TROUBLE,
    *("ConnectionError", "404 Client Error", "ServiceError", "Name or service not known", "SSLError"),
)
# Trust what the system trusts: behind some proxies nothing else works.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, order=True)
class Package:
    """One of what a service consists of. `licences` are what its metadata says: ids, expressions or names."""

    name: str
    version: str
    licences: tuple[str, ...] = ()


def run() -> bool:
    """Whether nothing was found. Raises SkippedError without a way to the packages."""
    tools = _environment(BUILD / "tools", ["--require-hashes", "--requirement", str(DATA / "requirements.lock")])
    rules, pinned = tomllib.loads((DATA / "licences.toml").read_text(encoding="utf-8")), pins(LOCK.read_text("utf-8"))
    every: set[Package] = set()
    good = True
    for service in SERVICES:
        own = [str(ROOT / "shared"), str(ROOT / "services" / service)]
        python = _environment(BUILD / service, ["--no-deps", *own, *_requirements(service)])
        found = packages_of(_listed(tools, python, service))
        faults = [*unpinned(found, pinned), *licence_faults(found, rules)]
        print(f"{service}: {len(found)} packages, build/sbom/stepwell-{service}.cdx.json", flush=True)
        for fault in faults:
            print(f"error\t{service}: {fault}")
        good &= not faults
        every.update(each for each in found if not each.name.startswith(OURS))
    return _audited(tools, sorted(every)) and good


def packages_of(bill: Mapping[str, Any]) -> list[Package]:
    """What a CycloneDX document lists."""
    return [
        Package(normalised(each["name"]), each["version"], tuple(_licences(each.get("licenses", ()))))
        for each in bill["components"]
    ]


def normalised(name: str) -> str:
    """A package name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _licences(given: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in given:
        licence = each.get("license", {})
        yield each.get("expression") or licence.get("id") or licence.get("name", "")


def pins(lock: str) -> dict[str, str]:
    """The version of each package that a lock pins with a hash."""
    entries = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)[1:]
    pinned = [re.match(r"([\w.-]+)==([^\s;\\]+)", entry) for entry in entries if "--hash=sha256:" in entry]
    return {normalised(each[1]): each[2] for each in pinned if each}


def unpinned(found: Iterable[Package], pinned: Mapping[str, str]) -> Iterator[str]:
    """What is not there at the version whose hash stands in the lock."""
    for each in found:
        if not each.name.startswith(OURS) and pinned.get(each.name) != each.version:
            yield f"{each.name} {each.version} is not pinned by requirements.lock"


def licence_faults(found: Iterable[Package], rules: Mapping[str, Any]) -> Iterator[str]:
    """Packages of which no licence is known, or one that is not allowed."""
    said = set()
    for each in found:
        elsewhere = rules["said_elsewhere"].get(each.name)
        if elsewhere and not each.licences:
            said.add(each.name)
        licences = each.licences or ((elsewhere["licence"],) if elsewhere else ())
        if not licences:
            yield f"{each.name} {each.version} names no licence"
        for licence in licences:
            allowed = rules["allowed"].keys() | rules["allowed_for"].get(each.name, {}).keys()
            if not is_allowed(rules["names"].get(licence, licence), allowed):
                yield f"{each.name} {each.version} is under {licence}"
    for name in rules["said_elsewhere"].keys() & {each.name for each in found} - said:
        yield f"{name} names its licence now: what licences.toml says of it must go"


def is_allowed(expression: str, allowed: Iterable[str]) -> bool:
    """Whether an SPDX expression can be met: one side of each OR, and both sides of each AND."""
    text = expression.strip()
    if text.startswith("(") and text.endswith(")") and _closes(text) == len(text) - 1:
        return is_allowed(text[1:-1], allowed)
    for word, met in ((" OR ", any), (" AND ", all)):
        parts = _split(text, word)
        if len(parts) > 1:
            return met(is_allowed(part, allowed) for part in parts)
    return text in set(allowed)


def _closes(text: str) -> int:
    """Where the parenthesis at the beginning is closed."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return place
    return -1


def _split(text: str, word: str) -> list[str]:
    """The parts between a word that stands in no parenthesis."""
    parts, depth = [""], 0
    for piece in re.split(rf"({word}|\(|\))", text):
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if piece == word and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def affected(package: Package, advisory: Mapping[str, Any]) -> bool:
    """Whether an advisory (https://ossf.github.io/osv-schema/) is about this version of the package."""
    if "withdrawn" in advisory:
        return False
    for each in advisory.get("affected", ()):
        if normalised(each["package"]["name"]) == package.name and (
            package.version in each.get("versions", ())
            or any(_within(package.version, r) for r in each.get("ranges", ()))
        ):
            return True
    return False


def _within(version: str, given: Mapping[str, Any]) -> bool:
    """Whether a version is in a range of versions, which its events begin and end in their order."""
    if given.get("type") != "ECOSYSTEM":
        return False
    inside = False
    for event in given.get("events", ()):
        (kind, bound), *_ = event.items()
        try:
            reached = bound == "0" or Version(version) >= Version(bound)
            passed = kind == "last_affected" and reached and Version(version) > Version(bound)
        except InvalidVersion:
            continue
        if kind == "introduced" and reached:
            inside = True
        elif (kind == "fixed" and reached) or passed:
            inside = False
    return inside


def _audited(tools: Path, packages: list[Package]) -> bool:
    folder = os.environ.get(ADVISORIES, "")
    if folder:
        return _audited_offline(Path(folder), packages)
    first = _asked(tools, packages[:1])
    if first is None or first["dependencies"][0].get("skip_reason"):
        print(f"NOT RUN the audit of {len(packages)} packages: no service of advisories answers from here.")
        print(f"        {ADVISORIES} names a copy of https://github.com/pypa/advisory-database to read instead.")
        return True
    answer = _asked(tools, packages)
    found = [] if answer is None else list(audit_faults(answer, len(packages)))
    for each in found or ([] if answer else ["the service of advisories has stopped answering"]):
        print(f"error\t{each}")
    print(f"{len(packages)} packages audited: {len(found)} found")
    return answer is not None and not found


def audit_faults(answer: Mapping[str, Any], expected: int) -> Iterator[str]:
    """What pip-audit found; what it could not look up is a fault as well, though it calls that no vulnerability."""
    if len(answer["dependencies"]) != expected:
        yield f"{len(answer['dependencies'])} of {expected} packages were audited"
    for each in answer["dependencies"]:
        if each.get("skip_reason"):
            yield f"{each['name']}: {each['skip_reason']}"
        for known in each.get("vulns", ()):
            mended = ", ".join(known["fix_versions"]) or "no version"
            yield f"{each['name']} {each['version']}: {known['id']}, mended in {mended}"


def _asked(tools: Path, packages: list[Package]) -> dict[str, Any] | None:
    """What pip-audit says of these packages; None where its service does not answer."""
    listed = BUILD / "audited.txt"
    listed.write_text("".join(f"{each.name}=={each.version}\n" for each in packages), encoding="utf-8")
    command = [str(tools.with_name("pip-audit")), "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    command += ["--format", "json", "--timeout", "15", "--requirement", str(listed)]
    trusted = {"REQUESTS_CA_BUNDLE": str(CERTIFICATES)} if CERTIFICATES.exists() else {}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**trusted, **os.environ})
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        if any(trouble in done.stderr for trouble in AUDIT_TROUBLE):
            return None
        raise SystemExit(f"pip-audit failed:\n{done.stderr}") from None
    return answer


def _audited_offline(folder: Path, packages: list[Package]) -> bool:
    """By the advisories in a folder. Raises FileNotFoundError when it is none."""
    if not (folder / "vulns").is_dir():
        raise FileNotFoundError(f"{ADVISORIES}={folder} holds no folder vulns")
    read, found = 0, []
    for package in packages:
        for path in sorted((folder / "vulns" / package.name).glob("*.yaml")):
            advisory = yaml.safe_load(path.read_text(encoding="utf-8"))
            read += 1
            if affected(package, advisory):
                found.append(f"{package.name} {package.version}: {advisory['id']}")
    for each in found:
        print(f"error\t{each}")
    print(f"{len(packages)} packages held against {read} advisories about them: {len(found)} found")
    return not found


def _requirements(service: str) -> list[str]:
    """What a service needs beside our own code, as the lock pins it, with its hashes."""
    listed = BUILD / f"{service}.txt"
    BUILD.mkdir(parents=True, exist_ok=True)
    projects = [str(ROOT / folder / "pyproject.toml") for folder in ("shared", f"services/{service}")]
    options = ["--quiet", "--no-header", "--no-annotate", "--generate-hashes", "--constraint", str(LOCK)]
    options += ["--no-emit-package", "stepwell-shared", "--output-file", str(listed)]
    subprocess.run([UV, "pip", "compile", *options, "--python", sys.executable, *projects], check=True, cwd=ROOT)
    return ["--requirement", str(listed)]


def _environment(folder: Path, what: list[str]) -> Path:
    """The interpreter of an environment that has this and nothing else."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    newest = max(LOCK, DATA / "requirements.lock", key=lambda path: path.stat().st_mtime)
    install = [str(UV), "pip", "install", "--quiet", "--python", str(python), *what]
    once(folder / ".installed", newest, install, ROOT)
    return python


def _listed(tools: Path, python: Path, service: str) -> dict[str, Any]:
    """The list of what is installed; made twice, it is the same bytes."""
    LISTS.mkdir(parents=True, exist_ok=True)
    project = ROOT / "services" / service / "pyproject.toml"
    made = []
    for name in (f"stepwell-{service}.cdx.json", f".{service}.again.json"):
        path = LISTS / name
        options = ["--output-reproducible", "--short-PURLs", "--sv", SPECIFICATION, "--pyproject", str(project)]
        command = [
            str(tools.with_name("cyclonedx-py")),
            "environment",
            *options,
            "--output-file",
            str(path),
            str(python),
        ]
        subprocess.run(command, check=True, capture_output=True)
        made.append(path.read_bytes())
    (LISTS / f".{service}.again.json").unlink()
    if made[0] != made[1]:
        raise ValueError(f"the list of {service} is another each time")
    found: dict[str, Any] = json.loads(made[0])
    return found
