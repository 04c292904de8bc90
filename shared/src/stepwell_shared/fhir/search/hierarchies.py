"""`:above` and `:below` on references to resources that name their own parent, such as the parts of an Organization.

https://hl7.org/fhir/R4/search.html section 3.1.1.4.14
"""

from stepwell_shared.fhir import values
from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import Interaction, Registry, ServedType
from stepwell_shared.fhir.search.rows import Context, valued
from stepwell_shared.fhir.search.terms import Values, refused, unescape
from stepwell_shared.fhir.table_names import current_table

_TO_THE_PARENT = ("partof", "part-of")


def parent_of(served_type: ServedType) -> SearchParameter | None:
    """The one reference by which a resource of this type names its parent; none where the type has no hierarchy."""
    found = (served_type.parameters.get(name) for name in _TO_THE_PARENT)
    strict = [each for each in found if each is not None and each.targets == (served_type.name,)]
    return next((each for each in strict if each.storage is Storage.COLUMN), None)


def hierarchical_targets(parameter: SearchParameter, registry: Registry | None) -> dict[str, ServedType]:
    """The types, by name, that a reference can point at and that have a hierarchy in this service."""
    return {
        each.name: each
        for each in registry or ()
        if (not parameter.targets or each.name in parameter.targets)
        and each.allows(Interaction.SEARCH_TYPE)
        and parent_of(each) is not None
    }


def hierarchical_target(
    parameter: SearchParameter, modifier: str, text: str, context: Context
) -> tuple[ServedType, str]:
    """The type and the address that one value names. Raises FhirError INVALID when it has no hierarchy here."""
    candidates = hierarchical_targets(parameter, context.registry)
    plain = unescape(text)
    address = context.localise(plain) if "/" in plain else "/".join([*list(candidates)[:1], plain])
    kind, _, id_ = address.partition("/")
    if kind not in candidates or not id_ or (kind not in plain and len(candidates) > 1):
        known = ", ".join(f"{name}/id" for name in candidates) or "no reference of this service"
        raise refused(f"{parameter.name}:{modifier}", f"follows a hierarchy of resources, which here has {known}")
    return candidates[kind], address


def in_hierarchy(
    parameter: SearchParameter,
    modifier: str,
    target: tuple[ServedType, str],
    reached: str,
    row: str,
    context: Context,
    found: Values,
) -> str:
    """The reference points at this resource or at any above or below it.

    `reached` is the condition on the rows of the hierarchy, by the alias `row`, that the caller may find: who may not
    see a part is not led through it. A circle ends where it began.
    """
    served_type, address = target
    parent = parent_of(served_type)
    assert parent is not None, "only types with a hierarchy are targets"
    up = f"{row}.{parent.column}"
    step, joined = f"'{served_type.name}/' || {row}.id", f"{up} = kin.address"
    if modifier == "above":
        step, joined = up, f"{row}.id = substr(kin.address, {len(served_type.name) + 2}) AND {up} IS NOT NULL"
    addresses = (
        f'WITH RECURSIVE kin(address) AS (SELECT {found.add(values.index_key(address))} COLLATE "C" UNION SELECT {step}'
        f" FROM {current_table(served_type.name)} AS {row} JOIN kin ON {joined}"
        f" WHERE {row}.tenant = s.tenant AND {row}.body IS NOT NULL AND {reached}) SELECT address FROM kin"
    )
    return valued(parameter, context, f"{{0}} = ANY(ARRAY({addresses}))")
