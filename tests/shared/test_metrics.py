"""Figures as Prometheus reads them."""

import contextlib
import re

import pytest
from stepwell_shared.telemetry.metrics import SECONDS_BOUNDS, SERIES_MAX, UNCOUNTED_MAX, Metrics
from stepwell_shared.telemetry.requests import Watch

from tests.support.scraping import names, samples

SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*\{([a-z_]+="(\\.|[^"\\])*",?)+\} -?[0-9.e+-]+')


def test_a_process_without_figures_says_nothing() -> None:
    assert Metrics("screening").text() == b""


def test_counters_and_gauges_are_written_as_prometheus_reads_them() -> None:
    metrics = Metrics("screening")
    metrics.tally("stepwell_things_total", "Things\nof a kind", ("kind",)).add('a "b" \\', count=2)
    metrics.watch("stepwell_age_seconds", "Age", ("topic",), lambda: [(("safety-alert",), 1.5)])
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
    first.tally("stepwell_things_total", "Things", ()).add()
    assert (b"things" in first.text(), second.text()) == (True, b"")


def test_a_histogram_counts_upwards_and_ends_with_everything() -> None:
    metrics = Metrics("screening")
    timings = metrics.timings("stepwell_request_seconds", "Time", ("status",))
    for seconds in (0.0005, 0.001, 0.3, 60.0):
        timings.add(("2xx",), seconds)
    found = samples(metrics.text().decode())
    buckets = {each.labels["le"]: each.value for each in found if each.name.endswith("_bucket")}
    assert list(buckets) == [*map(str, SECONDS_BOUNDS), "+Inf"]
    assert (buckets["0.001"], buckets["0.25"], buckets["0.5"], buckets["10.0"], buckets["+Inf"]) == (2, 2, 3, 3, 4)
    assert [each.value for each in found[-2:]] == [60.3015, 4]
    assert names(metrics.text().decode()) == {f"stepwell_request_seconds_{each}" for each in ("bucket", "sum", "count")}


def test_a_histogram_counts_each_duration_once_however_many_come_between_two_looks() -> None:
    metrics, labels = Metrics("screening"), ("2xx",)
    timings = metrics.timings("stepwell_request_seconds", "Time", ("status",))
    added: list[float] = []
    for many in (1, UNCOUNTED_MAX - 1, UNCOUNTED_MAX, 3 * UNCOUNTED_MAX + 7, 0):
        for number in range(many):
            seconds = (0.0005, 0.3, 0.001, 60.0, 0.002)[number % 5]
            timings.add(labels, seconds)
            added.append(seconds)
        found = samples(metrics.text().decode())
        buckets = {each.labels["le"]: each.value for each in found if each.name.endswith("_bucket")}
        assert buckets["+Inf"] == found[-1].value == len(added)
        assert {float(le): sum(each <= float(le) for each in added) for le in buckets} == {
            float(le): count for le, count in buckets.items()
        }
        assert found[-2].value == pytest.approx(sum(added))


def test_labels_that_run_away_end_in_one_series() -> None:
    metrics = Metrics("screening")
    tally, timings = metrics.tally("a_total", "", ("x",)), metrics.timings("b_seconds", "", ("x",))
    for number in range(SERIES_MAX + 50):
        tally.add(str(number))
        timings.add((str(number),), 0.1)
    found = {(each.name, each.labels["x"]): each.value for each in samples(metrics.text().decode())}
    assert found["a_total", "other"] == found["b_seconds_count", "other"] == 50
    assert len([1 for name, _ in found if name == "a_total"]) == SERIES_MAX + 1


def test_a_figure_that_is_watched_is_looked_at_when_somebody_asks() -> None:
    metrics, seen = Metrics("referral"), [1.0]
    metrics.watch("stepwell_queue_waiting", "Waiting", (), lambda: [((), seen[0])])
    metrics.watch("stepwell_spans_total", "Spans", ("outcome",), lambda: [(("lost",), 2)])
    seen[0] = 7.0
    assert b'stepwell_queue_waiting{service="referral"} 7.0\n' in metrics.text()
    assert b"# TYPE stepwell_spans_total counter\n" in metrics.text()


def test_a_request_that_fails_without_an_answer_is_a_fault() -> None:
    metrics = Metrics("screening")
    watch = Watch(metrics)
    with watch.request("read", "Patient", None) as seen:
        seen.status = 304
    with contextlib.suppress(LookupError), watch.request("read", "Patient", None):
        raise LookupError
    counts = {each.labels["status"]: each.value for each in samples(metrics.text().decode()) if "_count" in each.name}
    assert counts == {"3xx": 1, "5xx": 1}
