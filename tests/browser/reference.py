"""The reference page of each service in headless Chromium: it shows the service's operations with their examples, runs
no script but its own, and asks nobody but its host, whatever the address says.

`python -m tests.external reference` runs it; BROWSER_PICTURES names a folder for a picture of each page.
"""

import tempfile
from pathlib import Path

from stepwell_shared.settings import SERVICES

from tests.browser.playing import play, ready
from tests.support.suite import running_suite


def run() -> bool:
    """Prints what was looked at and what was wrong; whether nothing was. Runs inside `postgres.test_run()`."""
    ready()
    with tempfile.TemporaryDirectory() as folder, running_suite(Path(folder), SERVICES) as suite:
        pages = {name: suite.deployment.url_of(name).removesuffix("/fhir") + "/docs" for name in SERVICES}
        findings = play("reference", {"pages": pages}, Path(folder))
    for finding in findings:
        print(f"error\t{finding}")
    return not findings
