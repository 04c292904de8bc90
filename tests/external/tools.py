"""What checks with other tools have in common: that a machine cannot have them, and that they too make mistakes."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

JAVA_PACKAGES = ("maven", "default-jdk-headless")
CHROMIUM_PACKAGES = ("chromium",)
NETWORK_TROUBLE = (
    *("Unknown host", "Connection refused", "Network is unreachable", "timed out", "Could not transfer"),
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "Failed to fetch", "dns error"),
)


class SkippedError(Exception):
    """Why a check cannot be had on this machine."""


@dataclass(frozen=True)
class Mistake:
    """An error that a tool is known to report where there is none, by part of its message, and why there is none."""

    tool: str
    resource_type: str
    message: str
    reason: str
    place: str = ""
    always: bool = True
    """Whether a run in which the tool does not say so is an error: the mistake is mended, and must go."""


@dataclass(frozen=True)
class Finding:
    """An error that a tool reports, without what differs between findings of one kind."""

    tool: str
    resource_type: str
    place: str
    message: str

    def is_a(self, mistake: Mistake) -> bool:
        """Whether this is the known mistake."""
        return (
            self.tool == mistake.tool
            and self.resource_type == mistake.resource_type
            and mistake.message in self.message
            and mistake.place in self.place
        )


def judge(findings: Mapping[Finding, int], mistakes: Iterable[Mistake]) -> bool:
    """Prints errors and known mistakes; whether there is no error, and no mistake that nobody makes any more."""
    known: Counter[Mistake] = Counter()
    expected = tuple(mistakes)
    good = True
    for finding, count in sorted(findings.items(), key=str):
        mistake = next((each for each in expected if finding.is_a(each)), None)
        if mistake is not None:
            known[mistake] += count
            continue
        good = False
        place = finding.place or finding.resource_type
        print(f"error\t{count} times\t{finding.tool}\t{place}\t{finding.message}")
    for mistake in expected:
        if mistake in known:
            print(f"known\t{known[mistake]} times\t{mistake.tool}\t{mistake.resource_type}: {mistake.message}")
            print(f"\t{mistake.reason}")
        elif mistake.always:
            good = False
            print(f"error\t{mistake.tool} no longer says of {mistake.resource_type}: {mistake.message}")
    return good


def need_java() -> None:
    """Installs Java and Maven where it can, as root on Debian. Raises SkippedError where it cannot."""
    if not all(shutil.which(tool) for tool in ("java", "javac", "mvn")):
        _install("Java 17 or newer and Maven", JAVA_PACKAGES)
        if not all(shutil.which(tool) for tool in ("java", "javac", "mvn")):
            raise SkippedError("Java and Maven could not be installed")


def need_chromium() -> str:
    """The program of a Chromium, installed where it can be. Raises SkippedError where it cannot."""
    found = _chromium()
    if found is None:
        _install("Chromium", CHROMIUM_PACKAGES)
        found = _chromium()
    if found is None:
        raise SkippedError("Chromium could not be installed")
    return found


def need_programs(what: str, packages: Sequence[str], programs: Sequence[str]) -> None:
    """Installs Debian packages where it can unless the programs are there. Raises SkippedError where it cannot."""
    if not all(map(shutil.which, programs)):
        _install(what, packages)
        if not all(map(shutil.which, programs)):
            raise SkippedError(f"{what} could not be installed")


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def _install(what: str, packages: Sequence[str]) -> None:
    """Debian packages, as root. Raises SkippedError that says what is needed."""
    install = f"apt-get install {' '.join(packages)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SkippedError(f"needs {what}: {install}")
    print(f"{install} ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise SkippedError(f"{what} could not be installed: {done.stderr.strip().splitlines()[-1:]}")
