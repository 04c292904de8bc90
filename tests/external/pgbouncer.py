"""The main journey and tests of the engine through pgbouncer in transaction mode, with few connections behind it; and
searches on a standby, with a pgbouncer before each of the two servers.
"""

import os
import re
import shutil
import subprocess

from stepwell_shared.database.address import PARAMETER, Pooler

from tests.external.engine_tests import THROUGH_A_POOLER, passes
from tests.external.tools import need_programs
from tests.support import pooler

STORE = "tests/shared/fhir/test_store.py"
# What looks at PostgreSQL from a session of its own, which no pooler gives it.
SESSIONS = (
    f"{STORE}::TestDatabaseAway",
    f"{STORE}::TestConflicts::test_a_row_that_somebody_holds_is_given_up_soon_and_stops_no_other_tenant",
)
PREPARING_SINCE = (1, 21)


def run() -> bool:
    """Whether all of them pass. Raises SkippedError where there is no pgbouncer."""
    need_programs("pgbouncer", ("pgbouncer",), ("pgbouncer",))
    program = os.environ.get(pooler.PROGRAM) or shutil.which("pgbouncer")
    assert program is not None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, re.findall(r"\d+", said.splitlines()[0])[:2]))
    good = True
    for kind in (Pooler.TRANSACTION, Pooler.PREPARING):
        if kind is Pooler.PREPARING and version < PREPARING_SINCE:
            print(f"NOT RUN with {kind}: {said.splitlines()[0]} keeps no prepared statements; 1.21 does")
            continue
        print(f"{said.splitlines()[0]}, ?{PARAMETER}={kind} ...", flush=True)
        good &= passes(THROUGH_A_POOLER, {pooler.KIND: kind, pooler.PROGRAM: program}, leaving_out=SESSIONS)
    return good
