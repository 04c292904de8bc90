"""A service process holds nothing that only the other commands need."""

import subprocess
import sys

CODE = """
import sys
from stepwell_shared.cli.serving import serve
try:
    serve("nobody", 0, "127.0.0.1")
except LookupError:
    unwanted = {"rich", "pygments", "psutil", "yaml", "stepwell_shared.cli.commands"}
    unwanted |= {"greenlet", "python_multipart"}
    print("stepwell_shared.app" in sys.modules, sorted(unwanted & sys.modules.keys()))
"""


def test_a_service_loads_neither_the_other_commands_nor_what_is_for_terminals() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert found.stdout == "True []\n"
