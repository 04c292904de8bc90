"""Measurement's operations: parse, call one use case, reply."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_measurement.rules.statistics import known_statistics
from stepwell_measurement.use_cases.summaries import last_of_each, statistics


def observation_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on Observation."""
    yield Operation(
        "lastn",
        partial(last_of_each, runtime),
        Interaction.SEARCH_TYPE,
        "The last Observations of each code of one person, newest first: max (1 unless given), patient or subject,"
        " category or code, and any other search parameter. In a POST each is a parameter of Parameters.",
        instance=False,
        affects_state=False,
        result="Bundle",
        definition="http://hl7.org/fhir/OperationDefinition/Observation-lastn",
    )
    yield Operation(
        "stats",
        partial(statistics, runtime),
        Interaction.SEARCH_TYPE,
        "Figures about the values of one code of one person: subject, code with system or coding, statistic (one or"
        f" more of {', '.join(known_statistics())}), and perhaps duration (hours), period, limit, include. One"
        " Observation of figures for each unit.",
        instance=False,
        affects_state=False,
        result="Parameters",
        definition="http://hl7.org/fhir/OperationDefinition/Observation-stats",
    )
