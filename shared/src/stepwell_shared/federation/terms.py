"""What one organisation takes from another: kinds of what is sent, tiers, programmes. Pure; agreed by people."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import orjson

REFERRAL: Final = "referral"
ADVICE: Final = "advice"
# Figures about groups: the summary reports of measurement.
FIGURES: Final = "figures"
KINDS: Final = (REFERRAL, ADVICE, FIGURES)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is taken. No tier and no programme named means every one; a kind that is not named is not taken.

    `tiers` are codes of CodeSystem tier, `programmes` those by which a place says its programmes, as `system|code` or
    `code`.
    """

    kinds: frozenset[str] = frozenset({REFERRAL})
    tiers: frozenset[str] = frozenset()
    programmes: frozenset[str] = frozenset()

    def refusal(self, kind: str, tier: str | None = None, programmes: Collection[str] | None = None) -> str:
        """Why this is not taken, as the end of a sentence that begins with who says it; empty when it is.

        `programmes` are those of the place that is asked, None where no place is.
        """
        if kind not in self.kinds:
            return f"takes no {kind} from here: only {_listed(self.kinds)}"
        if tier is not None and self.tiers and tier not in self.tiers:
            return f"takes no {tier} from here: only {_listed(self.tiers)}"
        if programmes is not None and self.programmes and not self.programmes & set(programmes):
            return f"takes referrals from here to these programmes only: {_listed(self.programmes)}"
        return ""

    def text(self) -> str:
        """As it is kept."""
        kept = {name: sorted(getattr(self, name)) for name in ("kinds", "tiers", "programmes")}
        return orjson.dumps(kept).decode()


# What holds where nothing was said.
ANY_REFERRAL: Final = Terms()


def terms_from(text: str) -> Terms:
    """Terms that were kept; the first release had none, and took every referral."""
    kept = orjson.loads(text) if text else {}
    return Terms(**{name: frozenset(values) for name, values in kept.items()})


def _listed(codes: Collection[str]) -> str:
    return ", ".join(sorted(codes)) or "nothing"
