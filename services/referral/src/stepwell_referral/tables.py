"""The places of a tier with the people who wait there, read in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from stepwell_shared.canonical import code_system
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.functions import INDEXED_PLAN
from stepwell_shared.database.pool import Database

from stepwell_referral.rules.transitions import WAITING


@dataclass(frozen=True)
class PlaceRow:
    """One HealthcareService, and how many people wait there by FHIR request priority."""

    service: dict[str, Any]
    waiting: dict[str, int]


READ_PLACES = f"""CREATE OR REPLACE FUNCTION read_places(tenant_in text, tier_in text[])
RETURNS TABLE (tier text, body bytea, waiting text)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT k.tier, h.body, coalesce(queue.waiting, '{{}}')::text
    FROM unnest(tier_in) AS k(tier)
    JOIN fhir_healthcareservice_index AS i ON i.tenant = tenant_in AND i.parameter = 'service-category'
      AND i.system = '{code_system("tier")}' AND i.code = k.tier
    CROSS JOIN LATERAL (
      SELECT s.id, s.body FROM fhir_healthcareservice AS s
      WHERE s.tenant = tenant_in AND s.id = i.id AND s.body IS NOT NULL OFFSET 0
    ) AS h
    CROSS JOIN LATERAL (
      SELECT jsonb_object_agg(w.priority, w.people) AS waiting FROM (
        SELECT coalesce(t.p_priority, 'routine') AS priority, count(*) AS people FROM fhir_task AS t
        WHERE t.tenant = tenant_in AND t.p_owner = 'HealthcareService/' || h.id
          AND t.p_status IN ({", ".join(f"'{status}'" for status in WAITING)})
        GROUP BY 1
      ) AS w
    ) AS queue
    ORDER BY k.tier, h.id;
END $function$"""

_resource = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_counts = msgspec.json.Decoder(dict[str, int])


def place_reader(database: Database) -> Coalescer[list[PlaceRow]]:
    """Reads the places of a tier; group is (tenant,), key the tier. Those who ask at once share a call."""

    async def fetch(group: tuple[str, ...], tiers: Sequence[str]) -> Mapping[str, list[PlaceRow]]:
        found: dict[str, list[PlaceRow]] = {tier: [] for tier in tiers}
        for row in await database.fetch("SELECT * FROM read_places($1, $2)", group[0], tiers):
            found[row["tier"]].append(PlaceRow(_resource.decode(row["body"]), _counts.decode(row["waiting"])))
        return found

    return Coalescer(fetch)
