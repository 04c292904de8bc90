"""`make check` and its parts: what needs more than pip packages. A check that this machine cannot have says why."""

import sys
import time
import traceback
from collections.abc import Callable, Mapping

from tests.browser import dashboards, forms, reference, worklist
from tests.clients import collections, journeys, opinions
from tests.corpus import run as corpus
from tests.external import (
    backup,
    cluster,
    failover,
    hl7,
    images,
    manifests,
    pgbouncer,
    postgresql_versions,
    rolling,
    spark_example,
    supply_chain,
    telemetry,
)
from tests.external.tools import SkippedError
from tests.support import postgres

CHECKS: Mapping[str, tuple[str, Callable[[], bool]]] = {
    "clients": ("FHIR clients from npm and PyPI at the four services", journeys.run),
    "collections": ("the collections of requests, run as Postman does", collections.run),
    "examples": ("published R4 examples, stored, read and found", corpus.run),
    "browser": ("the form pages in a real browser", forms.run),
    "worklist": ("the coordinators' worklist in a real browser", worklist.run),
    "dashboards": ("the dashboards in a real browser", dashboards.run),
    "reference": ("the reference of each service in a real browser", reference.run),
    "spark": ("an export read by Spark as by DuckDB", spark_example.run),
    "pgbouncer": ("the main journey and tests of the engine through a transaction pooler", pgbouncer.run),
    "postgresql": ("the same on every version of PostgreSQL from 15 on", postgresql_versions.run),
    "failover": ("a PostgreSQL primary killed under load, with Patroni", failover.run),
    "backup": ("docs/backup.md: a suite destroyed, and brought back to a moment", backup.run),
    "supply": ("what each service consists of: its list, licences, and advisories", supply_chain.run),
    "kubernetes": ("the manifests, rendered and held to schemas and rules", manifests.run),
    "cluster": ("the manifests at a real Kubernetes: dry runs, releases, drained and dead nodes", cluster.run),
    "images": ("the services' images, built and run", images.run),
    "rolling": ("a release that rolls under load", rolling.run),
    "telemetry": ("alert rules and dashboards at a real Prometheus", telemetry.check),
    "opinions": ("other validators on what we emit", opinions.hear),
    "conformance": ("HL7 validator on what we emit", hl7.validate),
}


def main(names: list[str]) -> int:
    """Runs the named checks, or all of them; 1 if one of them found something."""
    passed = failed = skipped = 0
    for name in names or CHECKS:
        title, check = CHECKS[name]
        print(f"-- {title}", flush=True)
        started = time.monotonic()
        try:
            good = check()
        except SkippedError as reason:
            print(f"SKIPPED {title}: {reason}", flush=True)
            skipped += 1
            continue
        except (Exception, SystemExit):  # noqa: BLE001  the other parts have their say as well
            traceback.print_exc(file=sys.stdout)
            good = False
        print(f"{'passed' if good else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True)
        passed += good
        failed += not good
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    with postgres.test_run():
        sys.exit(main(sys.argv[1:]))
