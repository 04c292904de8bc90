"""Which types of the directory referral serves: who gives care, where, with which competence, and how to reach them."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Operation, ServedType, served
from stepwell_shared.runtime import Runtime

from stepwell_referral.use_cases.agreements import link
from stepwell_referral.use_cases.capacity import shared_capacity
from stepwell_referral.use_cases.catalogue import change_directory, change_service
from stepwell_referral.use_cases.fidelity import take_form
from stepwell_referral.use_cases.match_places import match_anybody, match_task

KEPT = READ_ONLY | {Interaction.CREATE, Interaction.UPDATE}
_ADDRESS = ("address", "address-city", "address-country", "address-postalcode", "address-state", "address-use")


def directory_types(runtime: Runtime) -> Iterator[ServedType]:
    """Places with their organisations and locations, and the people who work there."""
    yield _service(runtime)
    yield from _addresses(runtime)
    yield from _people(runtime)
    yield _form(runtime)


def _service(runtime: Runtime) -> ServedType:
    return served(
        "HealthcareService",
        [
            *("active", "characteristic", "coverage-area", "endpoint", "identifier", "location"),
            *("name", "organization", "program", "service-category", "service-type", "specialty"),
        ],
        interactions=KEPT,
        on_write=partial(change_service, runtime),
        operations=(
            Operation(
                "match",
                partial(match_anybody, runtime),
                Interaction.READ,
                "The places of a tier, or resources of the community (helps-with = codes of CodeSystem barrier), that"
                " fit a need: age, sex, condition, spoken, modality, barrier, accessibility, feature, time, programme,"
                " specialty, near (latitude,longitude), postal-code, city, country, travel-minutes; lists are separated"
                " by commas. language and audience say for whom the reasons are, left-out=true adds why others"
                " were left out, count how many are wanted. Best first, with score and reasons in each entry's search.",
                instance=False,
                affects_state=False,
                result="Bundle",
            ),
            Operation(
                "shared-capacity",
                partial(shared_capacity, runtime),
                Interaction.READ,
                "Our own places with their waits by urgency class and free places by week, and nobody in it: for"
                " partner organisations those that we take their referrals to. Counts of few people are left out.",
                instance=False,
                affects_state=False,
                result="Bundle",
            ),
        ),
        documentation="The places that give care, with how many people can begin there in a week, and resources of the"
        " community.",
    )


def _addresses(runtime: Runtime) -> Iterator[ServedType]:
    yield served(
        "Organization",
        ["active", *_ADDRESS, "endpoint", "identifier", "name", "partof", "type"],
        interactions=KEPT,
        operations=(
            Operation(
                "link",
                partial(link, runtime),
                Interaction.READ,
                "How the line to a partner organisation stands: when it was last heard, and what it is owed. Takes a"
                " token that reaches every Task.",
                affects_state=False,
                result="Parameters",
            ),
        ),
        documentation="Who provides the places, and the partners with which referrals are exchanged: what was agreed"
        " with each stands in partner-terms.",
    )
    yield served(
        "Location",
        [*_ADDRESS, "endpoint", "identifier", "name", "operational-status", "organization", "partof", "status", "type"],
        interactions=KEPT,
        on_write=partial(change_directory, runtime),
        documentation="Where care is given, with a position to reckon the way from, and the areas that places are for.",
    )
    yield served(
        "Endpoint",
        ["connection-type", "identifier", "name", "organization", "payload-type", "status"],
        interactions=KEPT,
        documentation="How a service or an organisation is reached electronically.",
    )


def _people(runtime: Runtime) -> Iterator[ServedType]:
    changed = partial(change_directory, runtime)
    yield served(
        "Practitioner",
        [
            *("active", *_ADDRESS, "communication", "email", "family", "gender", "given", "identifier", "name"),
            *("phone", "telecom"),
        ],
        interactions=KEPT,
        on_write=changed,
        documentation="Who gives care. A qualification counts within its period.",
    )
    yield served(
        "PractitionerRole",
        [
            *("active", "date", "email", "endpoint", "identifier", "location", "organization", "phone"),
            *("practitioner", "role", "service", "specialty", "telecom"),
        ],
        interactions=KEPT,
        on_write=changed,
        documentation="Who does what at which place, with what competence and until when (extension competence). What"
        " has lapsed is not offered.",
    )


def _form(runtime: Runtime) -> ServedType:
    return served(
        "QuestionnaireResponse",
        [
            *("author", "authored", "based-on", "encounter", "identifier", "item-subject", "part-of"),
            *("patient", "questionnaire", "source", "status", "subject"),
        ],
        interactions=KEPT,
        on_write=partial(take_form, runtime),
        indexes=(("patient", "-authored"),),
        update_create=False,
        documentation="Copies of what people say of their wishes and barriers, as screening has them, and forms about"
        " how faithfully somebody gives a treatment: their subject is a Practitioner or PractitionerRole.",
    )


def match_operation(runtime: Runtime) -> Operation:
    """The operation on a referral's Task."""
    return Operation(
        "match",
        partial(match_task, runtime),
        Interaction.READ,
        "The places that fit the person of a referral at its tier, best first, with score and reasons in each entry's"
        " search: by their record and by what they said of wishes and barriers. modality, spoken, barrier,"
        " accessibility, feature, time, condition, programme, specialty, near and travel-minutes go before what is"
        " known."
        " audience=patient gives the person's choice in their language (language), left-out=true why others were left"
        " out, count how many are wanted. Barriers lead to support or another way of meeting, never to a lower tier.",
        affects_state=False,
        result="Bundle",
    )
