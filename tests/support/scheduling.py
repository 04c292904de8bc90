"""How pytest-xdist shares the tests out: file by file, in their order, so that what a file starts is started once."""

from xdist.scheduler import LoadScopeScheduling

# These share a running suite.
TOGETHER = "tests/journeys/"


class FileByFile(LoadScopeScheduling):  # type: ignore[misc]
    """The order is that of the folders: what starts processes comes first, and small files even out the end."""

    def schedule(self) -> None:
        self.config.option.loadscopereorder = False
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(TOGETHER) else nodeid.partition("::")[0]
