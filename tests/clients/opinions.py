"""Second opinions on every resource that we emit: @medplum/core, npm fhir and fhirkit-rs must not find an error.

What one of them is known to get wrong stands here with the reason; one that it no longer gets wrong must go.
"""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.clients import install
from tests.external import emitted
from tests.external.tools import Finding, Mistake, SkippedError, judge

MISTAKES = (
    Mistake(
        "@medplum/core",
        "RiskAssessment",
        "Constraint ras-2 not met: Must be <= 100",
        "ras-2 is about a probability and there is none here: RiskAssessment.prediction.probability[x] is 0..1, and a"
        " prediction may say its risk as qualitativeRisk alone. R4B guards it",
    ),
    Mistake(
        "fhir",
        "Measure",
        "Missing property",
        "a primitive may have nothing but extensions, here why there is no code: R4 has none for SQL",
        "criteria.language",
    ),
    Mistake("fhir", "Bundle", "Missing property", "the same inside a Bundle", "criteria.language"),
    Mistake("@medplum/core", "Bundle", "Constraint ras-2 not met: Must be <= 100", "the same inside a Bundle"),
)


def hear() -> bool:
    """Prints what the tools find; whether nothing is left but known mistakes, each of them met.

    Raises SkippedError when none of the tools can be had.
    """
    commands: list[list[str]] = []
    asked: list[str] = []
    for tools, installed in ((("@medplum/core", "fhir"), _node_command), (("fhirkit-rs",), _python_command)):
        try:
            commands.append(installed())
            asked += tools
        except SkippedError as reason:
            print(f"SKIPPED {', '.join(tools)}: {reason}")
    if not commands:
        raise SkippedError("neither npm nor PyPI packages could be had")
    _, corpus = emitted.collect()
    found = Counter(finding for command in commands for finding in _findings(command, corpus))
    good = judge(found, [mistake for mistake in MISTAKES if mistake.tool in asked])
    resources = len(list(corpus.glob("*.json")))
    print(f"{', '.join(asked)}: {resources} resources, {sum(found.values())} findings")
    return good and resources > 0


def _findings(command: list[str], corpus: Path) -> Iterator[Finding]:
    done = subprocess.run([*command, str(corpus)], cwd=install.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    for line in done.stdout.splitlines():
        said = json.loads(line)
        yield Finding(said["tool"], said["type"], re.sub(r"\[\d+\]", "", said["place"]), said["message"])


def _node_command() -> list[str]:
    install.install_node_packages()
    return ["node", str(install.NODE / "opinions.mjs")]


def _python_command() -> list[str]:
    python = install.install_python_packages()
    return [str(python), str(Path(__file__).parent / "python" / "opinions.py")]
