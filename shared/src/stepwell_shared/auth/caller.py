"""The caller: whom a verified token stands for, in which tenant, and what it may do. Nothing is allowed by default."""

from dataclasses import dataclass, field, replace

from stepwell_shared.auth.roles import actor_under_consent
from stepwell_shared.auth.scopes import Scope, Scopes, letters_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue

ANSWERS_MAX = 500
INSUFFICIENT_SCOPE = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """One client acting in one tenant, for as long as its token lives.

    `fhir_user` refers to the person who acts (Practitioner/x), `patient` is the id of the patient to whom
    every `patient/` scope is bound; `token_id` is the token's `jti`. `actor` is set for whoever sees what Consents
    permit and nothing else; `before_consent` is that caller with all that its token grants, once Consents narrowed it.
    Who `breaks_glass` reads of one patient what the emergency needs, whatever Consents say.
    """

    tenant: str
    client_id: str
    scopes: Scopes
    token_id: str
    roles: tuple[str, ...] = ()
    fhir_user: str | None = None
    patient: str | None = None
    before_consent: "Caller | None" = None
    breaks_glass: bool = False
    actor: str | None = field(init=False, default=None)
    # What was worked out before: every request of a token asks the same few questions.
    _answers: dict[tuple[str, str], tuple[str, ...] | None] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        actor = None if self.breaks_glass else actor_under_consent(self.roles, self.fhir_user)
        object.__setattr__(self, "actor", actor)

    def narrowed_to(self, scopes: Scopes) -> "Caller":
        """The caller with what Consents leave of its scopes."""
        return replace(self, scopes=scopes, before_consent=self, _answers={})

    def permits(self, resource_type: str, interaction: str) -> bool:
        """Whether some scope grants it; a `patient/` scope without a patient grants nothing."""
        if self._answers.get((resource_type, interaction)) is not None:
            return True
        letters = letters_of(interaction)
        return letters != "" and all(self._grants(resource_type, letter) for letter in letters)

    def require(self, resource_type: str, interaction: str) -> None:
        """Raises FhirError FORBIDDEN when no scope grants the interaction on this type."""
        if not self.permits(resource_type, interaction):
            needed = letters_of(interaction)
            hint = f"; a scope such as system/{resource_type}.{needed} would" if needed else ""
            raise _forbidden(f"this token does not grant {interaction} on {resource_type}{hint}")

    def filters(self, resource_type: str, interaction: str) -> tuple[str, ...]:
        """Search queries of which a resource must match at least one; empty means unrestricted.

        They carry the granular part of the scopes and the patient to whom `patient/` scopes are bound.
        Raises FhirError FORBIDDEN like `require`, so that "nothing granted" never reads as "unrestricted".
        """
        known = self._answers.get((resource_type, interaction))
        if known is None:
            self.require(resource_type, interaction)
            known = self._strictest(resource_type, interaction)
            if len(self._answers) < ANSWERS_MAX:
                self._answers[resource_type, interaction] = known
        return known

    def _strictest(self, resource_type: str, interaction: str) -> tuple[str, ...]:
        strictest: tuple[str, ...] = ()
        for letter in letters_of(interaction):
            queries = tuple(self._query(scope, resource_type) for scope in self._grants(resource_type, letter))
            if "" in queries:
                continue
            if strictest and strictest != queries:
                raise _forbidden(f"the scopes of this token narrow {interaction} on {resource_type} in two ways")
            strictest = queries
        return strictest

    def require_unrestricted(self, resource_type: str, interaction: str) -> None:
        """Raises FhirError FORBIDDEN unless the grant is not narrowed: for what cannot apply filters."""
        if self.filters(resource_type, interaction):
            raise _forbidden(f"the scopes of this token narrow {resource_type}, which {interaction} cannot honour")

    def _grants(self, resource_type: str, letter: str) -> tuple[Scope, ...]:
        grants = self.scopes.grants(resource_type, letter)
        if self.patient is None:
            return tuple(scope for scope in grants if scope.context != "patient")
        return grants

    def _query(self, scope: Scope, resource_type: str) -> str:
        if scope.context != "patient":
            return scope.query
        bound = f"_id={self.patient}" if resource_type == "Patient" else f"patient={self.patient}"
        return f"{bound}&{scope.query}" if scope.filters else bound


def _forbidden(reason: str) -> FhirError:
    return FhirError(Category.FORBIDDEN, [Issue(reason, "forbidden")], headers=INSUFFICIENT_SCOPE)
