"""The exports of one service process: what asking, making ready and sending share."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from stepwell_shared.database.pool import Database
from stepwell_shared.export.jobs import Bounds
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.store import TRY_LATER
from stepwell_shared.settings import Settings


class Process(Protocol):
    """A running service process, as far as exports need one."""

    @property
    def engine(self) -> Engine: ...

    @property
    def database(self) -> Database: ...

    @property
    def settings(self) -> Settings: ...


@dataclass(frozen=True)
class Exports:
    """What is known once the process runs; earlier nothing here may be asked."""

    process: Process
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def engine(self) -> Engine:
        return self.process.engine

    @property
    def database(self) -> Database:
        return self.process.database

    @property
    def path(self) -> str:
        """Where the status and the files of exports are, below the host."""
        return f"/{self.engine.registry.service}/exports"

    @property
    def address(self) -> str:
        """The same as a URL."""
        return f"{self.engine.base_url.removesuffix('/fhir')}/exports"

    @property
    def keep(self) -> timedelta:
        """How long an export is kept once it is there."""
        return timedelta(hours=self.process.settings.export_hours)

    @property
    def bounds(self) -> Bounds:
        settings = self.process.settings
        return Bounds(settings.exports_at_work_max, settings.exports_kept_max)

    @property
    def part_resources(self) -> int:
        return self.process.settings.export_file_resources

    def wake(self) -> None:
        """There is something to do, in this process at least."""
        self._woken.set()

    async def woken(self, seconds: float) -> None:
        """Returns when there is something to do, or after a while."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    @staticmethod
    def unavailable() -> FhirError:
        text = "the database is not reachable; try again shortly"
        return FhirError(Category.UNAVAILABLE, text, headers=dict(TRY_LATER))
