"""The audit as AuditEvents: rows are rendered in SQL when somebody looks, as IHE's Basic Audit Log Patterns are.

https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP/ (RESTful operations)
"""

from typing import Final

from stepwell_shared.auth.audit import LOGIN
from stepwell_shared.auth.break_glass import NUMBER_PREFIX, PURPOSE, REASONS
from stepwell_shared.fhir.registry import Interaction, ServedType, View, served

_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_REASONS: Final = f"{_TERMINOLOGY}/v3-ActReason"
# https://dicom.nema.org/medical/dicom/current/output/chtml/part16/sect_CID_400.html, CID 401
_AUTHENTICATION_CODE, _LOGIN_CODE = "110114", "110122"
# Only tokens of our own issuer have such a number: those of others begin with the issuer's name and a colon.
_GLASS: Final = f"a.token_id LIKE '{NUMBER_PREFIX}%'"
_RESTFUL: Final = "http://hl7.org/fhir/restful-interaction"
# https://hl7.org/fhir/R4/codesystem-restful-interaction.html; whatever else we do is an operation
_INTERACTIONS: Final = (
    *("batch", "capabilities", "create", "delete", "history-instance", "history-system", "history-type", "patch"),
    *("read", "search-system", "search-type", "transaction", "update", "vread"),
)

PARAMETERS: Final = (
    "action",
    "agent",
    "altid",
    "date",
    "entity",
    "outcome",
    "patient",
    "policy",
    "source",
    "subtype",
    "type",
)

DOCUMENTATION: Final = (
    "Who saw or did what, and when: one for every access, and with type 110114 for every token, refused ones too."
    " They can neither be written nor changed here, and `stepwell audit verify` says whether anybody did. `altid` is"
    " the client, `agent` the person who acts; `entity` is what was accessed. Answers, names and searches are not in"
    " it."
)


def _coding(system: str, code: str, display: str) -> str:
    return f"json_build_object('system', '{system}', 'code', '{code}', 'display', '{display}')"


def _code_of_kind() -> str:
    """The interaction as a code of FHIR, or that a token was asked for as one of DICOM."""
    known = ", ".join(f"'{each}'" for each in _INTERACTIONS)
    other = f"CASE WHEN a.interaction = '{LOGIN}' THEN '{_LOGIN_CODE}' ELSE 'operation' END"
    return f"CASE WHEN a.interaction IN ({known}) THEN a.interaction ELSE {other} END"


def _subtypes() -> str:
    """The interaction, and behind it the operation by its name."""
    named = "CASE WHEN a.interaction LIKE '$%' THEN json_build_object('display', a.interaction) END"
    first = f"json_build_object('system', '{_RESTFUL}', 'code', {_code_of_kind()})"
    access = f"array_to_json(array_remove(ARRAY[({first})::text, ({named})::text], NULL)::json[])"
    token = f"json_build_array({_coding(_DICOM, _LOGIN_CODE, 'Login')})"
    return f"CASE WHEN a.interaction = '{LOGIN}' THEN {token} ELSE {access} END"


def _types() -> str:
    """Whether data were asked for, or a token."""
    token = _coding(_DICOM, _AUTHENTICATION_CODE, "User Authentication")
    access = _coding(f"{_TERMINOLOGY}/audit-event-type", "rest", "RESTful Operation")
    return f"CASE WHEN a.interaction = '{LOGIN}' THEN {token} ELSE {access} END"


def _agents(service: str) -> str:
    """The client, this server, and the person who acts, if one does."""
    source = _coding(_DICOM, "110153", "Source Role ID")
    destination = _coding(_DICOM, "110152", "Destination Role ID")
    recipient = _coding(f"{_TERMINOLOGY}/v3-ParticipationType", "IRCP", "information recipient")
    client = (
        f"json_build_object('type', json_build_object('coding', json_build_array({source})),"
        " 'who', json_build_object('identifier', json_build_object('value', a.client_id)), 'altId', a.client_id,"
        " 'requestor', a.fhir_user IS NULL)"
    )
    server = (
        f"json_build_object('type', json_build_object('coding', json_build_array({destination})),"
        f" 'who', json_build_object('display', 'Stepwell {service}'), 'requestor', false)"
    )
    person = (
        f"json_build_object('type', json_build_object('coding', json_build_array({recipient})),"
        " 'who', json_build_object('reference', a.fhir_user), 'requestor', true)"
    )
    alone = f"json_build_array({client}, {server})"
    return f"CASE WHEN a.fhir_user IS NULL THEN {alone} ELSE json_build_array({client}, {server}, {person}) END"


def _entities() -> str:
    """What was accessed, by address or by type, and the request."""
    kind = _coding(f"{_TERMINOLOGY}/audit-entity-type", "2", "System Object")
    role = _coding(f"{_TERMINOLOGY}/object-role", "4", "Domain Resource")
    transaction = "json_build_object('code', 'XrequestId')"
    what = (
        "CASE WHEN a.resource_id <> '' THEN json_build_object('reference', a.resource_type || '/' || a.resource_id)"
        " ELSE json_build_object('type', a.resource_type) END"
    )
    data = f"json_build_object('what', {what}, 'type', {kind}, 'role', {role})"
    request = (
        "json_build_object('what', json_build_object('identifier', json_build_object('value', a.request_id)),"
        f" 'type', {transaction})"
    )
    alone = f"json_build_array({request})"
    return f"CASE WHEN a.resource_type <> '' THEN json_build_array({data}, {request}) ELSE {alone} END"


def _with_purpose(body: str) -> str:
    """The same with the purposes of breaking the glass: that it was, and why."""
    reason = "split_part(a.token_id, '.', 2)"
    display = " ".join(f"WHEN '{code}' THEN '{name}'" for code, name in REASONS.items())
    glass = _coding(_REASONS, PURPOSE, "break the glass")
    purposes = (
        f"json_build_array(json_build_object('coding', json_build_array({glass})),"
        f" json_build_object('coding', json_build_array(json_build_object('system', '{_REASONS}', 'code', {reason},"
        f" 'display', CASE {reason} {display} END))))"
    )
    head, last = body[:-1], body[-1]
    return f"{head}, 'purposeOfEvent', {purposes}{last}"


def audit_events(service: str) -> ServedType:
    """AuditEvent as a service serves it: to be read and searched, by whoever's scopes name it."""
    moment = "to_char(a.recorded AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    application = _coding(f"{_TERMINOLOGY}/security-source-type", "4", "Application Server")
    outcome = "CASE WHEN a.status < 400 THEN '0' WHEN a.status < 500 THEN '4' ELSE '8' END"
    body = (
        "json_build_object('resourceType', 'AuditEvent', 'id', a.id::text,"
        f" 'meta', json_build_object('versionId', '1', 'lastUpdated', {moment}),"
        f" 'type', {_types()},"
        f" 'subtype', {_subtypes()}, 'action', a.action, 'recorded', {moment}, 'outcome', {outcome},"
        f" 'agent', {_agents(service)},"
        f" 'source', json_build_object('observer', json_build_object('display', 'Stepwell {service}'),"
        f" 'type', json_build_array({application})), 'entity', {_entities()})"
    )
    body = f"CASE WHEN {_GLASS} THEN {_with_purpose(body)} ELSE {body} END"
    source = "(SELECT *, recorded AS last_updated FROM audit) AS a"
    return served(
        "AuditEvent",
        PARAMETERS,
        interactions=frozenset({Interaction.READ, Interaction.SEARCH_TYPE}),
        documentation=DOCUMENTATION,
        order="-date",
        view=View(
            source,
            body,
            {
                "p_action": "a.action",
                "p_agent": "a.fhir_user",
                "p_altid": "a.client_id",
                "p_date_low": "a.recorded",
                "p_date_high": "a.recorded + interval '1 microsecond'",
                "p_entity": "CASE WHEN a.resource_id <> '' THEN a.resource_type || '/' || a.resource_id END",
                "p_outcome": outcome,
                "p_patient": "CASE WHEN a.resource_type = 'Patient' AND a.resource_id <> ''"
                " THEN 'Patient/' || a.resource_id WHEN a.fhir_user LIKE 'Patient/%' THEN a.fhir_user END",
                "p_policy": "NULL::text",
                "p_source": "NULL::text",
                "p_subtype": _code_of_kind(),
                "p_type": f"CASE WHEN a.interaction = '{LOGIN}' THEN '{_AUTHENTICATION_CODE}' ELSE 'rest' END",
            },
            {"subtype": (_RESTFUL, _DICOM), "type": (f"{_TERMINOLOGY}/audit-event-type", _DICOM)},
        ),
    )
