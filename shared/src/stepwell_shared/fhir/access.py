"""What the engine asks of a caller. Who the caller is and how that was proved is not the engine's business."""

from collections.abc import Sequence
from typing import Any, Protocol

from stepwell_shared.fhir.outcome import FhirError


class Access(Protocol):
    """A caller's rights in one tenant; everything that is not granted is refused."""

    @property
    def tenant(self) -> str:
        """The only tenant whose rows this caller can reach."""

    @property
    def client_id(self) -> str:
        """Who acts, for the audit and for provenance."""

    @property
    def token_id(self) -> str:
        """Which proof of identity was used, for the audit."""

    @property
    def fhir_user(self) -> str | None:
        """The person who acts, such as `Practitioner/x`; none when a system acts for itself."""

    def require(self, resource_type: str, interaction: str) -> None:
        """Raises FhirError FORBIDDEN when the interaction on this type is not granted."""

    def filters(self, resource_type: str, interaction: str) -> Sequence[str]:
        """Search queries of which a resource must match at least one; empty means unrestricted."""


class Share(Protocol):
    """What one client takes of the process; whoever was given one gives it back once the request is answered."""

    def give_back(self) -> None:
        """The request is answered."""


class Shares(Protocol):
    """How much of the process each client may take."""

    def take(self, access: Any, /) -> Share | None:
        """Counts one more request of this client; None when there is no room for it."""

    async def take_first(self, access: Any, authorization: str | None, /) -> Share | None:
        """The same for a request that cannot wait, who came with this header: it goes before others; None when too many
        of them wait."""

    def refusal(self, access: Any, authorization: str | None, /) -> FhirError:
        """What is said to a client for which there is no room, who came with this header."""
