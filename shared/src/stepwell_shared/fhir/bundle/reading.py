"""The store as one attempt at a transaction sees it: what it read once, and over that what it is about to commit."""

from collections.abc import Mapping

from stepwell_shared.fhir.store import Store
from stepwell_shared.fhir.unit import Stored, UnitOfWork

Identity = tuple[str, str]


class Reading(Store):
    """Reads of the same database; what was read once stays as it was, and `show` lays new versions over it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._database)
        self._known: dict[Identity, Stored | None] = {}
        self._shown: Mapping[Identity, Stored] = {}

    def show(self, versions: Mapping[Identity, Stored]) -> None:
        """From now on these are what reads find."""
        self._shown = versions

    async def read(self, tenant: str, resource_type: str, id_: str) -> Stored | None:
        identity = resource_type, id_
        if identity in self._shown:
            return self._shown[identity]
        if identity not in self._known:
            self._known[identity] = await super().read(tenant, resource_type, id_)
        return self._known[identity]

    async def commit(self, unit: UnitOfWork) -> None:
        raise AssertionError("a transaction is committed as a whole, by the store itself")
