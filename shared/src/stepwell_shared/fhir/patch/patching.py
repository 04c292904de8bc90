"""From a stored body and a patch to the body of the next version. Identity stays; a narrative never outlives its data.

https://hl7.org/fhir/R4/http.html#patch
"""

from typing import Any

from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.patch.fhirpath_patch import apply_fhirpath_patch
from stepwell_shared.fhir.patch.json_patch import apply_json_patch
from stepwell_shared.fhir.patch.json_tree import decode, same
from stepwell_shared.fhir.validation.json_text import read

JSON_PATCH = "application/json-patch+json"
_NARRATIVE = "text"
# The server gives these again with each version, so that they tell nothing about what a patch changed.
_OF_VERSION = frozenset({"meta", _NARRATIVE})


def patched(body: bytes, patch: bytes, media_type: str) -> tuple[bytes, dict[str, Any]]:
    """The new body and the same parsed, as valid as any resource that is sent.

    Raises FhirError INVALID when the patch or its result is not valid, BUSINESS_RULE when the patch does not apply.
    """
    before, resource = decode(body), decode(body)
    if media_type == JSON_PATCH:
        read(b'{"patch":%b}' % patch)  # no key twice, no great depth
        after = apply_json_patch(resource, decode(patch))
    else:
        validation.check(patch, "Parameters")
        after = apply_fhirpath_patch(resource, decode(patch))
    _refuse_new_identity(before, after)
    _drop_outdated_narrative(before, after)
    result = encode(after)
    return result, validation.check(result, before["resourceType"])


def _refuse_new_identity(before: dict[str, Any], after: Any) -> None:
    if not isinstance(after, dict):
        raise FhirError(Category.INVALID, [Issue("the patch leaves no resource", "structure")])
    for name in ("resourceType", "id"):
        if after.get(name) != before[name]:
            place = f"{before['resourceType']}.{name}"
            raise FhirError(Category.INVALID, [Issue(f"a patch must not change {place}", "invalid", place)])


def _drop_outdated_narrative(before: dict[str, Any], after: dict[str, Any]) -> None:
    """A generated narrative goes when the data change; one that says more than the data must be patched with them.

    A narrative that no longer describes its resource is unsafe (https://hl7.org/fhir/R4/http.html#patch).
    """
    if _NARRATIVE not in after or not same(before.get(_NARRATIVE), after[_NARRATIVE]):
        return
    if same(_data(before), _data(after)):
        return
    status = before[_NARRATIVE].get("status")
    if status != "generated":
        place = f"{before['resourceType']}.{_NARRATIVE}"
        text = f"{place} was written by a person and may not describe the patched resource: patch or remove it too"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", place)])
    del after[_NARRATIVE]


def _data(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in _OF_VERSION}
