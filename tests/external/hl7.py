"""The HL7 validation engine (HAPI, Java) over every resource that we define or emit."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "hl7-validator"
BUILD = ROOT / "build" / "hl7"
PACKAGES = ("maven", "default-jdk-headless")
OURS = "https://stepwell.health/fhir/"
# What differs between findings of one kind, and what the validator says about what it cannot judge.
OF_ONE_FINDING = re.compile(r" for '.*|, and a coding should come from.*")
NETWORK_TROUBLE = ("Unknown host", "Connection refused", "Network is unreachable", "timed out", "Could not transfer")


class SkippedError(Exception):
    """Why a check cannot be had on this machine."""


def validate() -> bool:
    """Prints the findings; whether there was no error. Raises SkippedError when Java or Maven cannot be had."""
    _need_tools()
    _build()
    definitions, corpus = BUILD / "definitions", BUILD / "corpus"
    for folder in (definitions, corpus):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for name, definition in _definitions():
        text = json.dumps(definition, ensure_ascii=False)
        (definitions / name).write_text(text, encoding="utf-8")
        (corpus / f"definition-{name}").write_text(text, encoding="utf-8")
    if not _collect(corpus):
        return False
    classpath = os.pathsep.join([str(PROJECT / "target" / "classes"), str(PROJECT / "target" / "dependency" / "*")])
    done = subprocess.run(
        ["java", "-cp", classpath, "ValidateCorpus", str(definitions), str(corpus)],
        capture_output=True,
        text=True,
        check=False,
    )
    _report(done.stdout)
    if done.stderr:
        print(done.stderr, file=sys.stderr)
    return done.returncode == 0


def _need_tools() -> None:
    if all(shutil.which(tool) for tool in ("java", "javac", "mvn")):
        return
    install = f"apt-get install {' '.join(PACKAGES)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SkippedError(f"needs Java 17 or newer and Maven: {install}")
    print(f"HL7 validator: {install} ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True, check=False
        )
    if not all(shutil.which(tool) for tool in ("java", "javac", "mvn")):
        raise SkippedError(f"Java and Maven could not be installed: {done.stderr.strip().splitlines()[-1:]}")


def _build() -> None:
    """Downloads HAPI through Maven, once, and compiles the validator."""
    command = ["mvn", "-B", "-ntp", "-q", "-f", str(PROJECT / "pom.xml"), "compile", "dependency:copy-dependencies"]
    done = subprocess.run(
        [*command, f"-DoutputDirectory={PROJECT / 'target' / 'dependency'}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return
    if any(trouble in done.stdout for trouble in NETWORK_TROUBLE):
        raise SkippedError("Maven could not download HAPI; its packages come from Maven Central")
    print(done.stdout, done.stderr, file=sys.stderr)
    raise SystemExit("HL7 validator: the build failed, see above.")


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


def _collect(corpus: Path) -> bool:
    """Runs the tests that emit resources; whether they passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests", f"--corpus={corpus}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    no_such_test = done.returncode == 5
    if done.returncode != 0 and not no_such_test:
        print(done.stdout, done.stderr, file=sys.stderr)
    return done.returncode == 0 or no_such_test


def _report(output: str) -> None:
    """Each error in full; of the warnings only what concerns our own names, alike ones counted together.

    That LOINC, SNOMED CT and UCUM cannot be looked up offline is expected, and stays in the total.
    """
    *findings, total = output.splitlines() or [""]
    alike: Counter[str] = Counter()
    for finding in findings:
        severity, _file, _place, message = finding.split("\t", 3)
        if severity == "error":
            print(finding)
        elif OURS in message:
            alike[OF_ONE_FINDING.sub("", message)] += 1
    for message, count in sorted(alike.items()):
        print(f"warning\t{count} times\t{message}")
    print(total)
