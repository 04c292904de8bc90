"""What a site says of itself to the people who fill in its forms: whom to turn to in a crisis, and how it makes sure
who comes back to a form.

The file of the setting `site_file` has an object for each tenant, and `*` for those that it does not name:

    {"*": {"name": "Practice", "secondFactor": "birth-date", "crisisContacts": [
        {"name": {"en": "Crisis line"}, "hours": {"en": "day and night"}, "phone": "+1 555 0100"}],
        "cadence": {"CADENCE-T1": 21}}}
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from stepwell_shared.runtime import Runtime

from stepwell_screening import data
from stepwell_screening.rules.cadence_policy import Cadence, parse_cadence, with_own
from stepwell_screening.rules.second_factor import FACTORS

EVERYBODY = "*"
SECOND_FACTOR = FACTORS[0]
_LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"


@cache
def shipped_cadence() -> Cadence:
    """How often people are asked, as it ships."""
    return parse_cadence(data.cadence())


def cadence_of(runtime: Runtime, tenant: str) -> Cadence:
    """How often a tenant's people are asked: with the site's own numbers. Raises SiteFileError."""
    own = site_of(runtime, tenant).cadence
    return with_own(shipped_cadence(), own) if own else shipped_cadence()


class SiteFileError(ValueError):
    """The file of the setting `site_file` cannot be read as what it should be; the message says where."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class CrisisContact(_Model):
    """Somebody to turn to at once; words by language. The first language is the one for readers of none of them."""

    name: dict[str, str] = Field(min_length=1)
    hours: dict[str, str] = Field(default_factory=dict)
    phone: str = Field(default="", pattern=r"^(\+?[0-9][0-9 ()./-]{1,30})?$")
    url: str = Field(default="", pattern=r"^(https://\S+)?$")

    def said(self, words: Mapping[str, str], language: str) -> tuple[str, str]:
        """The language in which these words can be read, and the words."""
        found = language if language in words else next(iter(words), language)
        return found, words.get(found, "")


class Site(_Model):
    """One tenant's site."""

    name: str = ""
    second_factor: str = Field(default=SECOND_FACTOR, alias="secondFactor", pattern=f"^({'|'.join(FACTORS)})$")
    crisis_contacts: tuple[CrisisContact, ...] = Field(default=(), alias="crisisContacts")
    cadence: dict[str, int] = Field(default_factory=dict)
    # What measurement reads of the same file.
    measurement: dict[str, Any] = Field(default_factory=dict)
    public_dashboard: dict[str, Any] | None = Field(default=None, alias="publicDashboard")

    @field_validator("cadence")
    @classmethod
    def _within_bounds(cls, own: dict[str, int]) -> dict[str, int]:
        with_own(shipped_cadence(), own)
        return own


_sites: TypeAdapter[dict[str, Site]] = TypeAdapter(dict[str, Site])


def site_of(runtime: Runtime, tenant: str) -> Site:
    """The tenant's site; one of which nothing is known has no crisis contacts. Raises SiteFileError."""
    sites = sites_in(runtime)
    return sites.get(tenant) or sites.get(EVERYBODY) or Site()


def crisis_contacts(runtime: Runtime, tenant: str) -> int:
    """How many crisis contacts a tenant's site has. A form with safety items is published only where there are some.

    Raises SiteFileError.
    """
    return len(site_of(runtime, tenant).crisis_contacts)


def sites_in(runtime: Runtime) -> dict[str, Site]:
    """Every site of the file, read again once the file has changed. Raises SiteFileError."""
    path = runtime.settings.site_file
    if path is None:
        return {}
    try:
        changed = path.stat().st_mtime_ns
        kept = runtime.cache.get(site_of)
        if isinstance(kept, tuple) and kept[0] == changed:
            found: dict[str, Site] = kept[1]
            return found
        found = parse_sites(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise SiteFileError(f"the file of STEPWELL_SITE_FILE cannot be used: {error}") from error
    runtime.cache[site_of] = changed, found
    return found


def parse_sites(content: Any) -> dict[str, Site]:
    """The sites by tenant. Raises ValueError that names each place that is wrong."""
    try:
        return _sites.validate_python(content)
    except ValidationError as error:
        places = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise ValueError("; ".join(places)) from error
