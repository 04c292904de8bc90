"""The versions of a service's database as they lie in its package, and the two halves of a migration around a release.

`before`: what the new release needs, beside which the old one works on (migrations/versions). `after`, when no process
of the old release runs any more: what only that one needed goes (migrations/after, a chain of its own, so that several
releases may be passed in one step).
"""

import re
from enum import StrEnum

from stepwell_shared.runtime import Service

REVISION = re.compile(r"^(revision|down_revision) = ['\"](\w+)['\"]", re.MULTILINE)


class Half(StrEnum):
    """One of the two parts of a migration."""

    BEFORE = "before"
    AFTER = "after"

    @property
    def folder(self) -> str:
        """Below a service's migrations."""
        return "versions" if self is Half.BEFORE else "after"

    @property
    def version_table(self) -> str:
        """Where Alembic keeps how far this half is."""
        return "alembic_version" if self is Half.BEFORE else "alembic_version_after"


def superseded(service: Service) -> frozenset[str]:
    """The revisions of the first half that newer ones of this release follow."""
    texts = [path.read_text(encoding="utf-8") for path in (service.migrations / Half.BEFORE.folder).glob("*.py")]
    return frozenset(name for text in texts for kind, name in REVISION.findall(text) if kind == "down_revision")
