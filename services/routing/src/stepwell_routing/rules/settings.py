"""A site's own values for the parameters of a policy, as the PlanDefinition that derives from it states them."""

from collections.abc import Mapping

from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.lifecycle import is_default
from stepwell_routing.rules.reading import Element, Reader, first


def settings_of(document: Element, canonical: str) -> Mapping[str, Scalar]:
    """Parameter values by name. Raises DocumentError where one lacks its name, value or reason, or is there twice."""
    reader = Reader(canonical)
    found: dict[str, Scalar] = {}
    for path, parts in reader.extensions(document, "policy-setting", "PlanDefinition"):
        name, value = first(parts, "parameter"), first(parts, "value")
        if name is None or value is None or not first(parts, "reason"):
            reader.refuse(path, "a setting needs its parameter, its value and the reason for it")
        elif name in found:
            reader.refuse(path, f"{name} is set twice")
        else:
            found[name] = value
    if not found and not is_default(document, canonical):
        text = "a policy that derives from another sets at least one parameter, or makes its pathway the default"
        reader.refuse("PlanDefinition.extension", text)
    reader.finish()
    return found
