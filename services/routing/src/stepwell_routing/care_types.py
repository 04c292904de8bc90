"""Which types of care content, plans, reviews and findings routing serves: search parameters, rules, operations."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Operation, ServedType, served
from stepwell_shared.runtime import Runtime
from stepwell_shared.served import TASK_PARAMETERS

from stepwell_routing.use_cases.care_plans import ask_to_come_back, change_care_plan, print_plan, write_letter
from stepwell_routing.use_cases.case_reviews import change_list, conclude, put_up
from stepwell_routing.use_cases.clinical import keep_condition, keep_medicine
from stepwell_routing.use_cases.closing import close_beside
from stepwell_routing.use_cases.content import change_definition, complete_task, deliver_content, keep_document
from stepwell_routing.use_cases.econsults import send_message

KEPT = READ_ONLY | {Interaction.CREATE, Interaction.UPDATE}
ADDED = READ_ONLY | {Interaction.CREATE}


def care_types(runtime: Runtime) -> Iterator[ServedType]:
    """Content, plans, reviews and messages, with what happens when they are written."""
    yield from _content_types(runtime)
    yield from _plan_types(runtime)
    yield from _clinical_types(runtime)


def _content_types(runtime: Runtime) -> Iterator[ServedType]:
    deliver = Operation(
        "deliver",
        partial(deliver_content, runtime),
        Interaction.READ,
        "Gives a text to a person as a Task. Parameters with subject (valueReference), and recipient (valueReference, a"
        " RelatedPerson) when it is for family: a Consent must permit it. Needs the right to create Tasks.",
        result="Task",
    )
    yield served(
        "ActivityDefinition",
        [
            *("composed-of", "context", "context-quantity", "context-type", "context-type-quantity"),
            *("context-type-value", "date", "depends-on", "derived-from", "description", "effective"),
            *("identifier", "jurisdiction", "language", "name", "predecessor", "publisher", "status", "successor"),
            *("title", "topic", "url", "version"),
        ],
        interactions=KEPT,
        on_write=partial(change_definition, runtime),
        operations=(deliver,),
        documentation="The content library: texts by topic, language, audience and ease of reading"
        " (context-type-value=audience$family). What ships are drafts that a site approves with status active, an"
        " approvalDate and an endorser; then they change no more.",
    )
    yield served(
        "DocumentReference",
        [
            *("authenticator", "author", "category", "contenttype", "custodian", "date", "description", "encounter"),
            *("event", "facility", "format", "identifier", "language", "location", "patient", "period", "related"),
            *("relatesto", "relation", "security-label", "setting", "status", "subject", "type"),
        ],
        interactions=ADDED,
        on_write=partial(keep_document, runtime),
        documentation="The texts of the content library, which are about nobody, and letters that care plans lead to.",
    )
    complete = Operation(
        "complete",
        partial(complete_task, runtime),
        Interaction.READ,
        "The person to whom content was given, or somebody of the team, says that it is done. No parameters.",
    )
    close = Operation(
        "close",
        partial(close_beside, runtime),
        Interaction.UPDATE,
        "Ends advice or co-treatment, a track, or the change of an activity. Parameters with outcome = done, not-wanted"
        " or not-needed (valueCode) and perhaps words (valueString). Its request is completed, or revoked where nothing"
        " came of it; a track stays open while a question of safety is. $finish ends what is still open.",
    )
    yield served(
        "Task",
        [*TASK_PARAMETERS, "due"],
        interactions=READ_ONLY,
        indexes=(("patient", "-authored-on"), ("status", "due")),
        operations=(complete, close),
        documentation="What somebody is given or asked to do. code=use-content finds what people were given to read or"
        " practise, with status=completed what they have done; code=answer-econsult the questions among colleagues.",
    )


def _plan_operations(runtime: Runtime) -> Iterator[Operation]:
    yield Operation(
        "print",
        partial(print_plan, runtime),
        Interaction.READ,
        "The plan as one HTML page, without a script and without anything from elsewhere, in a DocumentReference that"
        " is not kept. language says in which language its headings are; the words are the person's own.",
        affects_state=False,
        result="DocumentReference",
    )
    yield Operation(
        "employer-letter",
        partial(write_letter, runtime),
        Interaction.READ,
        "A letter from a plan for the return to work, with hours and accommodations alone. Parameters with employer"
        " (valueReference, an Organization): a Consent of the person must name it. Needs the right to create"
        " DocumentReferences.",
        result="DocumentReference",
    )
    yield Operation(
        "re-enter",
        partial(ask_to_come_back, runtime),
        Interaction.READ,
        "The person asks to come back into care without a new referral, as the plan for staying well says: a Task for"
        " the team. No parameters.",
        result="Task",
    )


def _review_operations(runtime: Runtime) -> Iterator[Operation]:
    yield Operation(
        "put-up",
        partial(put_up, runtime),
        Interaction.UPDATE,
        "Puts somebody up for a case review: a Task on the list. Parameters with subject (valueReference), reason"
        " (valueString) and perhaps due (valueDate). Needs the right to create Tasks.",
        result="Task",
    )
    yield Operation(
        "conclude",
        partial(conclude, runtime),
        Interaction.UPDATE,
        "What the team decided: an Appointment and Provenance that name who took part. Parameters with task"
        " (valueReference), decision = agree, other-tier, more-information or keep (valueCode), participant"
        " (valueReference, many), perhaps words (valueString) and period (valuePeriod). It changes nobody's step.",
        result="Appointment",
    )


def _plan_types(runtime: Runtime) -> Iterator[ServedType]:
    yield served(
        "CarePlan",
        [
            *("activity-code", "activity-date", "activity-reference", "based-on", "care-team", "category", "condition"),
            *("date", "encounter", "goal", "identifier", "instantiates-canonical", "instantiates-uri", "intent"),
            *("part-of", "patient", "performer", "replaces", "status", "subject"),
        ],
        interactions=KEPT,
        on_write=partial(change_care_plan, runtime),
        indexes=(("patient", "-date"),),
        operations=tuple(_plan_operations(runtime)),
        documentation="Plans in a person's own words: safety-plan, relapse-prevention and return-to-work, each with its"
        " sections as activities. $print gives a page that reads offline; Flags in the chart name a safety plan by its"
        " address.",
    )
    yield served(
        "List",
        [
            *("code", "date", "empty-reason", "encounter", "identifier", "item", "notes", "patient", "source"),
            *("status", "subject", "title"),
        ],
        interactions=KEPT,
        on_write=partial(change_list, runtime),
        operations=tuple(_review_operations(runtime)),
        documentation="With code case-review: people whom the team reviews together. $put-up adds somebody (why, since"
        " when, due), $conclude records what was decided and who took part; /routing/reviews/{id} is its page.",
    )
    yield served(
        "Appointment",
        [
            *("actor", "appointment-type", "based-on", "date", "identifier", "location", "part-status", "patient"),
            *("practitioner", "reason-code", "reason-reference", "service-category", "service-type", "slot"),
            *("specialty", "status", "supporting-info"),
        ],
        interactions=KEPT,
    )
    yield served(
        "Communication",
        [
            *("based-on", "category", "encounter", "identifier", "instantiates-canonical", "instantiates-uri"),
            *("medium", "part-of", "patient", "received", "recipient", "sender", "sent", "status", "subject"),
        ],
        interactions=ADDED,
        on_write=partial(send_message, runtime),
        indexes=(("patient", "-sent"),),
        documentation="Questions among colleagues (category econsult-question) and their answers (econsult-answer,"
        " inResponseTo the question). A question makes a Task with the time until which the answer is promised:"
        " Task?code=answer-econsult&status=requested&due=lt2026-11-30 finds what is overdue.",
    )


def _clinical_types(runtime: Runtime) -> Iterator[ServedType]:
    """What EHRs and clinicians bring of a person beside scores and answers."""
    yield served(
        "Condition",
        [
            *("abatement-age", "abatement-date", "abatement-string", "asserter", "body-site", "category"),
            *("clinical-status", "code", "encounter", "evidence", "evidence-detail", "identifier", "onset-age"),
            *("onset-date", "onset-info", "patient", "recorded-date", "severity", "stage", "subject"),
            "verification-status",
        ],
        interactions=KEPT,
        on_write=partial(keep_condition, runtime),
        indexes=(("patient", "-recorded-date"),),
        documentation="Conditions as EHRs and clinicians bring them. Policies find them by code; what is confirmed and"
        " active counts, and a decision follows where a course has begun.",
    )
    yield served(
        "MedicationStatement",
        [
            *("category", "code", "context", "effective", "identifier", "medication", "part-of", "patient"),
            *("source", "status", "subject"),
        ],
        interactions=KEPT,
        on_write=partial(keep_medicine, runtime),
        indexes=(("patient", "-effective"),),
        documentation="Medicines that a person takes, as EHRs and clinicians bring them. Policies find them by code.",
    )
