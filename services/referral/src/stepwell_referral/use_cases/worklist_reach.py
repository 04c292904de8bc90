"""Who sees what on the worklist: what a token reaches, narrowed by what somebody has chosen to look at."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn
from urllib.parse import parse_qsl

from stepwell_shared.auth.caller import Caller
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_referral.data.loop import time_outs
from stepwell_referral.data.worklist import rows_most, rows_shown
from stepwell_referral.use_cases.worklist_sites import Sites, services_of_person
from stepwell_referral.worklist_queries import START, After

SORTS = ("urgency", "due", "waiting")
_OWNER = re.compile(r"HealthcareService/[A-Za-z0-9\-.]{1,64}")
_SITE = re.compile(r"(Location|Organization)/[A-Za-z0-9\-.]{1,64}")
_CODE = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_PLACE = re.compile(r"([0-9]) ([0-9T:.\-]{10,32}\+00:00) ([A-Za-z0-9\-.]{1,64})")


@dataclass(frozen=True)
class Chosen:
    """What somebody has chosen to look at; nothing chosen is everything that they may see. `team` is "mine" for the
    services where they work themselves."""

    site: str = ""
    tier: str = ""
    service: str = ""
    team: str = ""
    state: str = ""
    sort: str = ""
    after: After = START
    most: int = 0

    @property
    def narrows(self) -> bool:
        return bool(self.site or self.tier or self.service or self.team)

    def parameters(self) -> list[tuple[str, str]]:
        """The same in an address, but for the place on the list: none of it says who anybody is."""
        names = ("site", "tier", "service", "team", "state", "sort")
        return [(name, getattr(self, name)) for name in names if getattr(self, name)]


def chosen_in(parameters: Sequence[tuple[str, str]]) -> Chosen:
    """What an address says. Raises FhirError INVALID for what is no such choice."""
    given = {name: value for name, value in parameters if value and name not in {"_format", "language", "done"}}
    known = {"site": _SITE, "tier": _CODE, "service": _CODE}
    for name, value in given.items():
        wrong = (
            (name in known and not known[name].fullmatch(value))
            or (name == "team" and value != "mine")
            or (name == "state" and value not in time_outs())
            or (name == "sort" and value not in SORTS)
            or (name == "count" and not (value.isascii() and value.isdecimal() and 0 < int(value[:9]) <= rows_most()))
        )
        if wrong or name not in {*known, "team", "state", "sort", "after", "count"}:
            text = (
                "the worklist takes site, tier, service, team, state, sort, count and after, as its own links give them"
            )
            raise FhirError(Category.INVALID, text)
    return Chosen(
        **{name: given.get(name, "") for name in ("site", "tier", "service", "team", "state", "sort")},
        after=_after(given["after"]) if "after" in given else START,
        most=int(given.get("count", rows_shown())),
    )


def cursor_of(after: After) -> str:
    """The place after a row as it stands in an address."""
    text = f"{after.rank} {after.at.isoformat()} {after.id}"
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _after(text: str) -> After:
    """Raises FhirError INVALID for what is no place on a list."""
    padded = text + "=" * (-len(text) % 4)
    try:
        found = _PLACE.fullmatch(base64.urlsafe_b64decode(padded.encode()).decode())
        return After(int(found[1]), datetime.fromisoformat(found[2]), found[3]) if found else _refuse_place(None)
    except (ValueError, binascii.Error) as error:
        return _refuse_place(error)


def _refuse_place(error: Exception | None) -> NoReturn:
    raise FhirError(Category.INVALID, "this is no place on a list: begin at its first page") from error


def owners_granted(access: Caller) -> frozenset[str] | None:
    """The services whose referrals a token reaches; None: all of them.

    Raises FhirError FORBIDDEN for who may not search Tasks or sees what Consents permit, and for scopes that are
    narrowed by anything but the service (`Task?owner=HealthcareService/...`).
    """
    access.require("Task", Interaction.SEARCH_TYPE)
    access.require("Task", Interaction.READ)
    if access.actor is not None or access.patient is not None:
        raise FhirError(Category.FORBIDDEN, "the worklist is for those who coordinate referrals")
    granted: set[str] = set()
    for query in access.filters("Task", Interaction.SEARCH_TYPE):
        pairs = parse_qsl(query)
        owners = [each for name, value in pairs if name == "owner" for each in value.split(",")]
        if len(pairs) != 1 or not owners or not all(_OWNER.fullmatch(each) for each in owners):
            raise FhirError(Category.FORBIDDEN, "the scopes of this token narrow Task by more than the service")
        granted.update(owners)
    return frozenset(granted) or None


async def owners_of(runtime: Runtime, access: Caller, sites: Sites, chosen: Chosen) -> list[str] | None:
    """The services to look at: those that the token reaches and that were chosen; None: all, and what has none."""
    granted = owners_granted(access)
    if not chosen.narrows:
        return None if granted is None else sorted(granted)
    found = sites.of(site=chosen.site, tier=chosen.tier, service=chosen.service)
    if chosen.team:
        found &= await services_of_person(runtime, access)
    return sorted(found if granted is None else found & granted)


def all_of(chosen: Chosen) -> Chosen:
    """The same choice at the beginning of a list."""
    return replace(chosen, after=START)
