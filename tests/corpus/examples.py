"""The published R4 examples: a Maven package with HL7's (CC0), and IBM's own (Apache-2.0), pinned by hash.

Nothing of it is kept in this repository: the package is downloaded when `make check` needs it.
"""

import hashlib
import subprocess
import zipfile
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.corpus.exact import Members, parse, written
from tests.external.tools import NETWORK_TROUBLE, SkippedError, need_java

ROOT = Path(__file__).parents[2]
POM = Path(__file__).parent / "pom.xml"
BUILD = ROOT / "build" / "examples"
PACKAGE = "fhir-examples-4.11.1.jar"
SHA256 = "20d934b5b6e35652490b6801ee76231a916733ecf125cbb1ce72a910fe7639c9"
FOLDERS = ("json/spec/", "json/ibm/", "json/profiles/")


@dataclass(frozen=True)
class Example:
    """One resource: the file that it is in, with the entry's number where that is a Bundle, and its JSON."""

    name: str
    resource_type: str
    content: Members

    @property
    def body(self) -> bytes:
        return written(self.content).encode()

    @property
    def told(self) -> str:
        """What must come back: everything but the id and meta."""
        return written(self.content.without("id", "meta"))


def download() -> Path:
    """The package. Raises SkippedError when Maven cannot bring it, SystemExit when it is not what was published."""
    package = BUILD / PACKAGE
    if not package.exists():
        need_java()
        print(f"{PACKAGE} ...", flush=True)
        command = ["mvn", "-B", "-ntp", "-q", "-f", str(POM), "dependency:copy-dependencies"]
        done = subprocess.run([*command, f"-DoutputDirectory={BUILD}"], capture_output=True, text=True, check=False)
        if done.returncode != 0 and any(trouble in done.stdout for trouble in NETWORK_TROUBLE):
            raise SkippedError("the examples could not be downloaded")
        if done.returncode != 0:
            raise SystemExit(f"Maven failed:\n{done.stdout[-4000:]}")
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{package} is not what was published: its SHA-256 is {found}")
    return package


def examples(package: Path, types: Container[str]) -> Iterator[Example]:
    """Every resource of these types, also those in Bundles, each content once."""
    seen: set[str] = set()
    with zipfile.ZipFile(package) as archive:
        for name in sorted(archive.namelist()):
            if not name.startswith(FOLDERS) or not name.endswith(".json"):
                continue
            for place, content in _resources(parse(archive.read(name))):
                example = Example(name.removeprefix("json/") + place, str(content.get("resourceType")), content)
                if example.resource_type in types and example.told not in seen:
                    seen.add(example.told)
                    yield example


def _resources(content: Any, place: str = "") -> Iterator[tuple[str, Members]]:
    if not isinstance(content, Members):
        return
    if content.get("resourceType") != "Bundle":
        yield place, content
        return
    for number, entry in enumerate(content.get("entry") or ()):
        yield from _resources(entry.get("resource"), f"{place}#{number}")
