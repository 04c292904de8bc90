"""Measurement's operations: parse, call one use case, reply."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_measurement.rules.statistics import known_statistics
from stepwell_measurement.use_cases.outreach import reach_out
from stepwell_measurement.use_cases.pooling import pool
from stepwell_measurement.use_cases.reporting import evaluate_as_deqm, evaluate_measure
from stepwell_measurement.use_cases.summaries import last_of_each, statistics

_EVALUATE = (
    "A Measure counted for a period, as a MeasureReport: periodStart and periodEnd (days), reportType population"
    " (unless given; DEQM: summary), subject or subject-list; subject for one person; organization (the practice); and"
    " stratifier (up to 3 of the Measure's, told together), by (month, quarter or year, with the limits of chance),"
    " only (dimension|value, many). Each rate has its confidence interval and how complete follow-up is. Small counts,"
    " and what would give them away, are masked. Whoever may not read every Patient and Observation is told what the"
    " dashboards publish: their period, of everybody, by one stratifier, of one group, by quarter (and practice), or by"
    " month. Persons are named to whoever may; they also get tally=true: everybody's figures with what was counted,"
    " nothing masked, for $pool."
)


def measure_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on Measure."""
    for instance in (True, False):
        yield Operation(
            "evaluate-measure",
            partial(evaluate_measure, runtime),
            Interaction.READ,
            _EVALUATE if instance else f"{_EVALUATE} measure says which.",
            instance=instance,
            affects_state=False,
            result="MeasureReport",
            definition="http://hl7.org/fhir/OperationDefinition/Measure-evaluate-measure",
        )
    yield Operation(
        "evaluate",
        partial(evaluate_as_deqm, runtime),
        Interaction.READ,
        "As $evaluate-measure, with the names of DEQM: measureUrl or measureId (many). A Bundle for each Measure.",
        instance=False,
        affects_state=False,
        result="Parameters",
        definition="http://hl7.org/fhir/us/davinci-deqm/OperationDefinition/evaluate",
    )

    yield Operation(
        "pool",
        partial(pool, runtime),
        Interaction.READ,
        "A region's figures: what the organisations have counted whose MeasureReports with a tally are here, added up:"
        " reports about all of periodStart to periodEnd, or about months and quarters that make it up; of each the"
        " newest. Partners send theirs by themselves, others $evaluate-measure with tally=true. The extension reporting"
        " says whose figures are in, whose groups are too few, and whose report is awaited or late. stratifier reporter"
        " tells them apart. Small counts are masked.",
        affects_state=False,
        result="MeasureReport",
    )
    yield Operation(
        "outreach",
        partial(reach_out, runtime),
        Interaction.READ,
        "Of the Measure reach: stores the Group of people to go to, who are registered and active, were not seen from"
        " periodStart to periodEnd, are above a cut-off by their last score, and do not wait for a first contact."
        " only (dimension|value, many) narrows it. It takes the right to read all Patients and Observations, and to"
        " make Tasks.",
        affects_state=True,
        result="Group",
    )


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
