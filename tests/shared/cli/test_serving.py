"""A service process holds nothing that only the other commands need."""

import os
import subprocess
import sys

import pytest
from stepwell_shared.settings import SERVICES

CODE = """
import sys
from stepwell_shared.cli.serving import serve
try:
    serve(sys.argv[1], 0, "127.0.0.1")
except ValueError:  # all is loaded, and there are no settings
    unwanted = {"rich", "pygments", "psutil", "yaml", "stepwell_shared.cli.access"}
    unwanted |= {"greenlet", "python_multipart", "sqlalchemy", "sqlmodel", "alembic"}
    print(f"stepwell_{sys.argv[1]}.app" in sys.modules, sorted(unwanted & sys.modules.keys()))
"""


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_loads_neither_the_other_commands_nor_what_is_for_terminals_or_migrations(service: str) -> None:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("STEPWELL_")}
    found = subprocess.run(
        [sys.executable, "-c", CODE, service], env=settings, capture_output=True, text=True, check=True
    )
    assert found.stdout == "True []\n"
