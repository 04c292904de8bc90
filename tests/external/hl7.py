"""The HL7 validation engine (HAPI, Java) over every resource that we define or emit."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.external import emitted
from tests.external.tools import NETWORK_TROUBLE, Finding, Mistake, SkippedError, judge, need_java

PROJECT = Path(__file__).parent / "hl7-validator"
OURS = "https://stepwell.health/fhir/"
TOOL = "HL7 validator"
FOUND_ERRORS = 1
INDEX = re.compile(r"\[\d+\]|/\*[^*]*\*/")
IDENTITY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MISTAKES = (
    Mistake(
        TOOL,
        "CapabilityStatement",
        "Slice 'Extension.extension:authorize': a matching slice is required",
        "SMART App Launch 1.0 thought of apps with users only; 2.2 has authorization_endpoint required if server"
        " supports the launch-ehr or launch-standalone capability; otherwise, optional",
    ),
    *(
        Mistake(
            TOOL,
            resource_type,
            f"http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/{profile}'",
            "the profile is one of the Backport guide STU1.1, which is not among the packages that it can have here",
        )
        for resource_type, profile in (
            ("Subscription", "backport-subscription"),
            ("Bundle", "backport-subscription"),
            ("Bundle", "backport-subscription-notification-r4"),
            ("Bundle", "backport-subscription-status-r4"),
            ("Parameters", "backport-subscription-status-r4"),
        )
    ),
    *(
        Mistake(
            TOOL,
            resource_type,
            "Failed to retrieve profile with url=http://hl7.org/fhir/uv/subscriptions-backport/",
            "the same, said a second time",
        )
        for resource_type in ("Subscription", "Bundle", "Parameters")
    ),
    Mistake(
        TOOL,
        "Bundle",
        "Multiple matches in bundle for reference",
        "a history holds several versions of one resource: bdl-7 lets a fullUrl be there once for each meta.versionId,"
        " and what refers to it refers to its identity",
        always=False,
    ),
)
# What differs between findings of one kind, and what the validator says about what it cannot judge.
OF_ONE_FINDING = re.compile(r" for '.*|, and a coding should come from.*")


def validate() -> bool:
    """Prints the findings; whether there was no error. Raises SkippedError when Java or Maven cannot be had."""
    need_java()
    _build()
    definitions, corpus = emitted.collect()
    classpath = os.pathsep.join([str(PROJECT / "target" / "classes"), str(PROJECT / "target" / "dependency" / "*")])
    done = subprocess.run(
        ["java", "-cp", classpath, "ValidateCorpus", str(definitions), str(corpus)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.stderr:
        print(done.stderr, file=sys.stderr)
    return _judged(done.stdout) and done.returncode in {0, FOUND_ERRORS}


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


def _judged(output: str) -> bool:
    """Errors but known ones; of the warnings only what concerns our own names, alike ones counted together.

    That LOINC, SNOMED CT and UCUM cannot be looked up offline is expected, and stays in the total.
    """
    *lines, total = output.splitlines() or [""]
    alike: Counter[str] = Counter()
    errors: Counter[Finding] = Counter()
    for line in lines:
        severity, file, place, message = line.split("\t", 3)
        if severity == "error":
            errors[Finding(TOOL, file.partition("-")[0], INDEX.sub("", place), IDENTITY.sub("...", message))] += 1
        elif OURS in message:
            alike[OF_ONE_FINDING.sub("", message)] += 1
    for message, count in sorted(alike.items()):
        print(f"warning\t{count} times\t{message}")
    good = judge(errors, MISTAKES)
    print(f"{total}, of which {sum(errors.values())} errors are known and explained above" if good else total)
    return good and total.startswith(TOOL)
