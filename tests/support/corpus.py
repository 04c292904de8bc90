"""Keeps what the services emit in tests, so that `make check` can put every resource before other validators.

`pytest --corpus FOLDER` runs the tests that emit resources and writes each resource there once.
"""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

from tests.support.terminology import unknown_codings

Emitted = Callable[[Mapping[str, object] | bytes], None]


class _ExactNumbers(json.JSONEncoder):
    """Writes a Decimal as the number that it is."""

    def default(self, value: object) -> object:
        if isinstance(value, Decimal):
            return int(value) if value == value.to_integral_value() else float(value)
        return super().default(value)


def keep(folder: Path | None, resource: Mapping[str, object] | bytes) -> None:
    """Holds the resource to our code systems, and writes it when a corpus is asked for."""
    body = json.loads(resource) if isinstance(resource, bytes) else resource
    assert "resourceType" in body, "only FHIR resources belong in the corpus"
    unknown = unknown_codings(body)
    assert not unknown, f"not defined in our code systems: {unknown}"
    if folder is None:
        return
    text = resource if isinstance(resource, bytes) else json.dumps(resource, cls=_ExactNumbers, indent=1).encode()
    name = f"{body['resourceType']}-{sha256(text).hexdigest()[:16]}.json"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text)
