"""What an export holds, worked out once when it is asked for and kept with it; the searches in it are texts."""

from typing import Literal

import msgspec

Level = Literal["system", "patient", "group"]


class Selection(msgspec.Struct, frozen=True, omit_defaults=True):
    """Resources of one type, or what was deleted of it.

    At least one of `filters` must match, and of each of `granted` at least one: those of the scopes that asked. What
    was `changed_in` a transaction is wanted from that on; of that very one what is not older than `changed_since`.
    """

    resource_type: str
    filters: tuple[str, ...] = ()
    granted: tuple[tuple[str, ...], ...] = ()
    changed_in: str | None = None
    changed_since: str | None = None
    is_deleted: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it takes every resource of its type, so that nobody need look at what they say."""
        return not self.filters and not self.granted


class Recipe(msgspec.Struct, frozen=True, omit_defaults=True):
    """One export: whose resources, which, and how much of each.

    `members` are the patients of a group, such as `Patient/x`. `is_impersonal` leaves out what is about a patient.
    """

    level: Level
    selections: tuple[Selection, ...]
    members: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    is_impersonal: bool = False

    @property
    def looks_at_people(self) -> bool:
        """Whether it matters whose a resource is."""
        return self.level != "system" or self.is_impersonal


encode_recipe = msgspec.json.Encoder().encode
decode_recipe = msgspec.json.Decoder(Recipe).decode
