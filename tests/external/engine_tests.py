"""The tests for a database that is not the one of every run: the main journey, and what leans on PostgreSQL most."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
THROUGH_A_POOLER = (
    "tests/journeys/test_main_job.py",
    "tests/shared/database/test_follower.py",
    "tests/shared/events/test_receiver.py",
    "tests/shared/events/test_subscriptions.py",
    "tests/shared/events/test_upkeep.py",
    "tests/shared/export",
    "tests/shared/fhir/test_store.py",
    "tests/shared/fhir/test_interactions.py",
    "tests/shared/fhir/test_idempotency.py",
    "tests/shared/fhir/bundle",
)
ON_ANOTHER_VERSION = (
    "tests/journeys/test_main_job.py",
    "tests/shared/test_migrations.py",
    "tests/shared/database",
    "tests/shared/events/test_upkeep.py",
    "tests/shared/export/test_exporting.py",
    "tests/shared/fhir/test_store.py",
)


def passes(tests: Sequence[str], environment: Mapping[str, str], leaving_out: Sequence[str] = ()) -> bool:
    """Runs these tests in this environment, and prints what pytest says of failures and numbers."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *tests]
    command += [option for each in leaving_out for option in ("--deselect", each)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    print("\n".join(lines[-1:] if done.returncode == 0 else lines[-200:]), flush=True)
    return done.returncode == 0
