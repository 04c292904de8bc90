"""Invariants of Bundle and Parameters. https://hl7.org/fhir/R4/bundle.html, parameters.html"""

from stepwell_shared.fhir.validation.invariants.nodes import Node, Rules, has, has_choice

_WITH_TOTAL = {"searchset", "history"}
_WITH_REQUEST = {"batch", "transaction", "history"}
_WITH_RESPONSE = {"batch-response", "transaction-response", "history"}


def _every_entry_has(bundle: Node, name: str, kinds: set[str]) -> bool:
    expected = bundle.get("type") in kinds
    return all((name in entry) == expected for entry in bundle.get("entry", ()))


def _begins_with(bundle: Node, kind: str, resource_type: str) -> bool:
    entries = bundle.get("entry", ())
    first = entries[0].get("resource", {}).get("resourceType") if entries else None
    return bundle.get("type") != kind or first == resource_type


def _full_urls_are_distinct(bundle: Node) -> bool:
    identities = [
        (entry["fullUrl"], entry.get("resource", {}).get("meta", {}).get("versionId"))
        for entry in bundle.get("entry", ())
        if "fullUrl" in entry
    ]
    return bundle.get("type") == "history" or len(identities) == len(set(identities))


def _document_is_identified(bundle: Node) -> bool:
    identifier = bundle.get("identifier", {})
    return bundle.get("type") != "document" or (has(identifier, "system") and has(identifier, "value"))


def _parameter_has_one_content(parameter: Node) -> bool:
    return ("part" in parameter) + has_choice(parameter, "value") + ("resource" in parameter) == 1


RULES: Rules = {
    "bdl-1": lambda bundle: not has(bundle, "total") or bundle.get("type") in _WITH_TOTAL,
    "bdl-2": lambda bundle: (
        bundle.get("type") == "searchset" or not any("search" in entry for entry in bundle.get("entry", ()))
    ),
    "bdl-3": lambda bundle: _every_entry_has(bundle, "request", _WITH_REQUEST),
    "bdl-4": lambda bundle: _every_entry_has(bundle, "response", _WITH_RESPONSE),
    "bdl-5": lambda entry: "resource" in entry or "request" in entry or "response" in entry,
    "bdl-7": _full_urls_are_distinct,
    "bdl-8": lambda entry: "/_history/" not in entry.get("fullUrl", ""),
    "bdl-9": _document_is_identified,
    "bdl-10": lambda bundle: bundle.get("type") != "document" or "timestamp" in bundle,
    "bdl-11": lambda bundle: _begins_with(bundle, "document", "Composition"),
    "bdl-12": lambda bundle: _begins_with(bundle, "message", "MessageHeader"),
    "inv-1:Parameters": _parameter_has_one_content,
}
