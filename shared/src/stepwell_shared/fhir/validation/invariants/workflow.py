"""Invariants of requests, tasks, appointments, plans, lists, consents and the organizations that carry them out.

https://hl7.org/fhir/R4/workflow.html
"""

from stepwell_shared.fhir.validation.invariants.nodes import Node, Rules, has, has_any, not_after

_WITHOUT_TIME = {"proposed", "cancelled", "waitlist"}


def _has_time_when_booked(appointment: Node) -> bool:
    return (has(appointment, "start") and has(appointment, "end")) or appointment.get("status") in _WITHOUT_TIME


def _cancelation_reason_fits(appointment: Node) -> bool:
    return "cancelationReason" not in appointment or appointment.get("status") in {"noshow", "cancelled"}


def _is_not_for_home(contact: Node) -> bool:
    return contact.get("use") != "home"


def _was_modified_after_it_was_written(task: Node) -> bool:
    if "lastModified" not in task or "authoredOn" not in task:
        return not (has(task, "lastModified") and has(task, "authoredOn"))
    return not_after(task["authoredOn"], task["lastModified"])


def _only_practitioners_act_on_behalf(participant: Node) -> bool:
    """R4 resolves the member; the type in the reference says the same where it is given."""
    reference = participant.get("member", {}).get("reference", "")
    kind = reference.split("/")[-2] if reference.count("/") else ""
    return "onBehalfOf" not in participant or not kind[:1].isupper() or kind == "Practitioner"


def _only_in_mode(mode: str, name: str, node: Node) -> bool:
    return node.get("mode") == mode or not any(has(entry, name) for entry in node.get("entry", ()))


RULES: Rules = {
    "app-1": lambda participant: "type" in participant or "actor" in participant,
    "app-2": lambda appointment: has(appointment, "start") == has(appointment, "end"),
    "app-3": _has_time_when_booked,
    "app-4": _cancelation_reason_fits,
    "apr-1": lambda response: "participantType" in response or "actor" in response,
    "cpl-3": lambda activity: not ("detail" in activity and "reference" in activity),
    "ctm-1": _only_practitioners_act_on_behalf,
    "inv-1": _was_modified_after_it_was_written,
    "lst-1": lambda node: "emptyReason" not in node or "entry" not in node,
    "lst-2": lambda node: _only_in_mode("changes", "deleted", node),
    "lst-3": lambda node: _only_in_mode("working", "date", node),
    "org-1": lambda organization: has_any(organization, "identifier", "name"),
    "org-2": _is_not_for_home,
    "org-3": _is_not_for_home,
    "ppc-1": lambda consent: "policy" in consent or "policyRule" in consent,
    "prr-1": lambda request: "orderDetail" not in request or "code" in request,
    "rqg-1": lambda action: ("resource" in action) != ("action" in action),
    "sev-1": lambda entity: not (has(entity, "name") and has(entity, "query")),
}
