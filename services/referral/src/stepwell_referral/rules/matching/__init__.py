"""Which place gives a person the care of their tier: what is known of both, who may come, and the order."""

from stepwell_referral.rules.matching.eligibility import lapsed_competence
from stepwell_referral.rules.matching.needs import NEVER, OFTEN, SOMETIMES, Need, Parameters, Remedy, Travel
from stepwell_referral.rules.matching.places import (
    AT_COST,
    CARE,
    COMMUNITY,
    DISCOUNTED,
    FREE,
    Area,
    Catalogue,
    Eligibility,
    Place,
    Profile,
    Span,
)
from stepwell_referral.rules.matching.ranking import LeftOut, Match, Option, match, with_waits
from stepwell_referral.rules.matching.reasons import Reason, in_words
from stepwell_referral.rules.matching.travel import kilometres, unit_vector

__all__ = [
    "AT_COST",
    "CARE",
    "COMMUNITY",
    "DISCOUNTED",
    "FREE",
    "NEVER",
    "OFTEN",
    "SOMETIMES",
    "Area",
    "Catalogue",
    "Eligibility",
    "LeftOut",
    "Match",
    "Need",
    "Option",
    "Parameters",
    "Place",
    "Profile",
    "Reason",
    "Remedy",
    "Span",
    "Travel",
    "in_words",
    "kilometres",
    "lapsed_competence",
    "match",
    "unit_vector",
    "with_waits",
]
