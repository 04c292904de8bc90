"""Figures of one process for whoever watches it, as Prometheus text. No patient data, and never more series than fit.

What counts on the way of every request is a `Tally` or `Timings`: a dictionary that costs well below a microsecond.
What is looked at when somebody asks is watched (`watch`), or an OpenTelemetry instrument of the `meter`.
https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4)
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, InMemoryMetricReader, Metric, NumberDataPoint, Sum

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Labels come from code and from what the site has published; should they still run away, the rest is one series.
SERIES_MAX = 2000
OTHER = "other"
# Upper bounds of buckets in seconds: a read takes one or two milliseconds, a caller gives up after tens of seconds.
SECONDS_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_:]")

Labels = tuple[str, ...]
Watched = Callable[[], Iterable[tuple[Labels, float]]]


class _Published(Protocol):
    """Something with samples: (suffix of the name, labels and values, value)."""

    name: str
    description: str
    type: str

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]: ...


class Tally:
    """Counts by labels."""

    type = "counter"

    def __init__(self, name: str, description: str, labels: Labels) -> None:
        self.name, self.description = name, description
        self._labels = labels
        self._counts: dict[Labels, int] = {}

    def add(self, *values: str, count: int = 1) -> None:
        """Counts something, with a value for each label."""
        counts = self._counts
        if values not in counts and len(counts) >= SERIES_MAX:
            values = (OTHER,) * len(self._labels)
        counts[values] = counts.get(values, 0) + count

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        for values, count in self._counts.items():
            yield "", dict(zip(self._labels, values, strict=True)), count


class Timings:
    """How often something took how long, by labels: a histogram."""

    type = "histogram"

    def __init__(self, name: str, description: str, labels: Labels) -> None:
        self.name, self.description = name, description
        self._labels = labels
        # a count for each bucket and for what is longer, then the sum of all
        self._rows: dict[Labels, list[float]] = {}

    def add(self, values: Labels, seconds: float) -> None:
        """Notes one duration, with a value for each label."""
        row = self._rows.get(values) or self._row(values)
        row[bisect_left(SECONDS_BOUNDS, seconds)] += 1
        row[-1] += seconds

    def _row(self, values: Labels) -> list[float]:
        if len(self._rows) >= SERIES_MAX:
            values = (OTHER,) * len(self._labels)
        return self._rows.setdefault(values, [0] * (len(SECONDS_BOUNDS) + 1) + [0.0])

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        for values, row in self._rows.items():
            labels = dict(zip(self._labels, values, strict=True))
            *counts, total = row
            upwards = list(accumulate(counts))
            for bound, count in zip((*map(str, SECONDS_BOUNDS), "+Inf"), upwards, strict=True):
                yield "_bucket", {**labels, "le": bound}, count
            yield "_sum", labels, total
            yield "_count", labels, upwards[-1]


class _Look:
    """Figures that are looked at when somebody asks."""

    def __init__(self, name: str, description: str, labels: Labels, look: Watched) -> None:
        self.name, self.description = name, description
        self.type = "counter" if name.endswith("_total") else "gauge"
        self._labels = labels
        self._look = look

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        for values, value in self._look():
            yield "", dict(zip(self._labels, values, strict=True)), value


class Metrics:
    """The figures of a process. Nothing leaves it by itself: `text` is taken when somebody asks."""

    def __init__(self, service: str = "") -> None:
        self.service = service
        self._published: dict[str, _Published] = {}
        self._reader: InMemoryMetricReader | None = None
        self._provider: MeterProvider | None = None

    @property
    def meter(self) -> Meter:
        """Makes counters and gauges (asynchronous ones too)."""
        if self._provider is None:
            self._reader = InMemoryMetricReader()
            self._provider = MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)
        return self._provider.get_meter("stepwell")

    def tally(self, name: str, description: str, labels: Labels) -> Tally:
        """A counter, which is made when it is first asked for. Its name ends in `_total`."""
        found = self._published.get(name) or self._published.setdefault(name, Tally(name, description, labels))
        assert isinstance(found, Tally)
        return found

    def timings(self, name: str, description: str, labels: Labels) -> Timings:
        """A histogram, which is made when it is first asked for. Its name ends in `_seconds`."""
        found = self._published.setdefault(name, Timings(name, description, labels))
        assert isinstance(found, Timings)
        return found

    def watch(self, name: str, description: str, labels: Labels, look: Watched) -> None:
        """Publishes what `look` finds at that moment: it must be quick and ask nobody else."""
        self._published[name] = _Look(name, description, labels, look)

    def text(self) -> bytes:
        """Every figure as it is now."""
        lines = [line for each in self._published.values() for line in self._published_lines(each)]
        data = None if self._reader is None else self._reader.get_metrics_data()
        metrics = (
            metric
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )
        return "".join([*lines, *(line for metric in metrics for line in self._lines(metric))]).encode()

    def _published_lines(self, published: _Published) -> Iterator[str]:
        yield from _head(published.name, published.description, published.type)
        for suffix, labels, value in published.samples():
            yield self._sample(published.name + suffix, labels, value)

    def _lines(self, metric: Metric) -> Iterator[str]:
        data = metric.data
        if not isinstance(data, Gauge | Sum):
            return  # histograms are ours
        counts = isinstance(data, Sum) and data.is_monotonic
        name = _NOT_IN_A_NAME.sub("_", metric.name) + ("_total" if counts else "")
        yield from _head(name, metric.description or "", "counter" if counts else "gauge")
        points: Sequence[NumberDataPoint] = data.data_points
        for point in points:
            yield self._sample(name, point.attributes or {}, point.value)

    def _sample(self, name: str, labels: Mapping[str, Any], value: float) -> str:
        named = {"service": self.service, **labels}
        shown = ",".join(f'{_NOT_IN_A_NAME.sub("_", key)}="{_escaped(str(each))}"' for key, each in named.items())
        return f"{name}{{{shown}}} {value}\n"


def _head(name: str, description: str, type_: str) -> Iterator[str]:
    yield f"# HELP {name} {_escaped(description)}\n"
    yield f"# TYPE {name} {type_}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
