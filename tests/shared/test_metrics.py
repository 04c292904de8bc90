"""Figures as Prometheus reads them, and the alert rules that stand on them."""

import re
from pathlib import Path
from typing import Any

import yaml
from opentelemetry.metrics import CallbackOptions, Observation
from stepwell_shared.events.observing import _GAUGES
from stepwell_shared.telemetry.metrics import Metrics

RULES = Path(__file__).parents[2] / "deploy" / "alerts" / "outbox.yaml"
SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*\{([a-z_]+="(\\.|[^"\\])*",?)+\} -?[0-9.e+-]+')


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_a_process_without_figures_says_nothing() -> None:
    assert Metrics("screening").text() == b""


def test_counters_and_gauges_are_written_as_prometheus_reads_them() -> None:
    metrics = Metrics("screening")
    metrics.meter.create_counter("stepwell.things", description="Things\nof a kind").add(2, {"kind": 'a "b" \\'})

    def seen(_options: CallbackOptions) -> list[Observation]:
        return [Observation(1.5, {"topic": "safety-alert"})]

    metrics.meter.create_observable_gauge("stepwell_age_seconds", [seen], "s", "Age")
    lines = metrics.text().decode().splitlines()
    assert lines == [
        "# HELP stepwell_things_total Things\\nof a kind",
        "# TYPE stepwell_things_total counter",
        'stepwell_things_total{service="screening",kind="a \\"b\\" \\\\"} 2',
        "# HELP stepwell_age_seconds Age",
        "# TYPE stepwell_age_seconds gauge",
        'stepwell_age_seconds{service="screening",topic="safety-alert"} 1.5',
    ]
    assert all(SAMPLE.fullmatch(line) for line in lines if not line.startswith("#"))


def test_two_processes_of_one_test_keep_their_figures_apart() -> None:
    first, second = Metrics("screening"), Metrics("routing")
    first.meter.create_counter("stepwell_things").add(1)
    assert (b"things" in first.text(), second.text()) == (True, b"")


def test_every_alert_is_well_formed_and_says_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) == 6
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"Stepwell[A-Z][A-Za-z]+", rule["alert"])
        assert re.fullmatch(r"[1-9][0-9]*[smh]", rule["for"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert re.search(r"(>|>=) [0-9]+$", rule["expr"])


def test_alerts_look_at_figures_that_are_published_by_labels_that_they_have() -> None:
    published = {name for name, *_ in _GAUGES}
    for rule in rules():
        assert set(re.findall(r"stepwell_\w+", rule["expr"])) <= published, rule["alert"]
        by = re.search(r"by \(([^)]*)\)", rule["expr"])
        assert by is not None
        assert set(by[1].split(", ")) <= {"service", "tenant", "topic", "subscription"}


def test_every_number_of_an_alert_is_marked_as_ours() -> None:
    assert RULES.read_text().count("# product default") == len(rules())
