"""Defects to plant into healthy databases, to see that the oracle finds each of them."""

from dataclasses import dataclass

_COPY = "INSERT INTO {0} SELECT (r).* FROM (SELECT jsonb_populate_record(t, '{1}') AS r FROM {0} AS t LIMIT 1) AS c"
_SOME = "ctid = (SELECT ctid FROM {0} ORDER BY random() LIMIT 1)"


def _deleted(table: str) -> str:
    return f"DELETE FROM {table} WHERE {_SOME.format(table)}"


def _copied(table: str) -> str:
    return _COPY.format(table, '{"id": "planted"}')


def _edited(table: str, found: str, put: str) -> str:
    """One body with a text in place of another."""
    body = f"convert_to(regexp_replace(convert_from(body, 'utf8'), '{found}', '{put}'), 'utf8')"
    return f"UPDATE {table} SET body = {body} WHERE {_SOME.format(table)}"


_SENT_ONE = "ctid = (SELECT ctid FROM subscription_event WHERE event_number = 3 LIMIT 1)"
_TAKEN_ONE = "ctid = (SELECT ctid FROM received_event WHERE event_number = 3 LIMIT 1)"


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong, in which database, the statement that makes it so, and the kind of finding that it must cause."""

    name: str
    service: str
    statement: str
    kind: str


DEFECTS = (
    Defect("a response is gone", "screening", _deleted("fhir_questionnaireresponse"), "lost"),
    Defect("a response is there twice", "screening", _copied("fhir_questionnaireresponse"), "doubled"),
    Defect("a person is there twice", "screening", _copied("fhir_patient"), "doubled"),
    Defect("a score is gone", "measurement", _deleted("fhir_observation"), "lost"),
    Defect("a score is there twice", "measurement", _copied("fhir_observation"), "doubled"),
    Defect("a tier assignment is gone", "routing", _deleted("fhir_servicerequest"), "lost"),
    Defect("a tier assignment is there twice", "routing", _copied("fhir_servicerequest"), "doubled"),
    Defect(
        "a tier assignment is somebody else's", "routing",
        _edited("fhir_servicerequest", "Patient/[^\"]*", "Patient/nobody"), "lost",
    ),
    Defect(
        "a tier was assigned again", "routing",
        _edited("fhir_servicerequest", '"versionId":"1"', '"versionId":"2"'), "doubled",
    ),
    Defect("a referral is gone", "referral", _deleted("fhir_task"), "lost"),
    Defect("a referral is there twice", "referral", _copied("fhir_task"), "doubled"),
    Defect("the copy of a person is gone", "referral", _deleted("fhir_patient"), "lost"),
    Defect("an event has no number", "screening", f"DELETE FROM subscription_event WHERE {_SENT_ONE}", "gap"),
    Defect(
        "a number was never sent", "routing",
        f"UPDATE subscription_event SET status = 'parked' WHERE {_SENT_ONE}", "lost",
    ),
    Defect(
        "two numbers tell of one event", "screening",
        "UPDATE subscription_event AS e SET outbox_position = f.outbox_position FROM subscription_event AS f"
        " WHERE e.event_number = 3 AND f.event_number = 2 AND e.subscription_id = f.subscription_id", "doubled",
    ),
    Defect(
        "a number was skipped at the end", "routing",
        "UPDATE subscription_state SET next_event_number = next_event_number + 1", "gap",
    ),
    Defect("an event was never numbered", "routing", "DELETE FROM subscription_event", "gap"),
    Defect("a receiver forgot a number", "referral", f"DELETE FROM received_event WHERE {_TAKEN_ONE}", "gap"),
    Defect(
        "a receiver waits for a number", "measurement",
        f"UPDATE received_event SET status = 'missing' WHERE {_TAKEN_ONE}", "lost",
    ),
    Defect(
        "a receiver took a number for something else", "routing",
        f"UPDATE received_event SET focus = 'QuestionnaireResponse/other' WHERE {_TAKEN_ONE}", "wrong",
    ),
    Defect(
        "a version is missing", "routing",
        "UPDATE fhir_version SET version = 2 WHERE ctid = (SELECT ctid FROM fhir_version LIMIT 1)", "gap",
    ),
)  # fmt: skip
