"""fhirkit-rs judges every JSON file of a folder; one JSON line for each error that it reports."""

import json
import sys
from pathlib import Path

import fhirkit

for path in sorted(Path(sys.argv[1]).glob("*.json")):
    body = path.read_bytes()
    for issue in fhirkit.validate(body):
        if issue.severity == "error":
            found = {"tool": "fhirkit-rs", "file": path.name, "type": json.loads(body)["resourceType"]}
            print(json.dumps({**found, "place": issue.path, "message": issue.message}))
