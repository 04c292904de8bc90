"""Figures of one process for whoever watches it: OpenTelemetry instruments, read as Prometheus text. No patient data.

https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4)
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, InMemoryMetricReader, Metric, NumberDataPoint, Sum

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_:]")


class Metrics:
    """The instruments of a process. Nothing leaves it by itself: `text` is taken when somebody asks."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)

    @property
    def meter(self) -> Meter:
        """Makes counters and gauges (asynchronous ones too)."""
        return self._provider.get_meter("stepwell")

    def text(self) -> bytes:
        """Every figure as it is now."""
        data = self._reader.get_metrics_data()
        metrics = (
            metric
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )
        return "".join(line for metric in metrics for line in self._lines(metric)).encode()

    def _lines(self, metric: Metric) -> Iterator[str]:
        data = metric.data
        if not isinstance(data, Gauge | Sum):
            return  # we publish gauges and counters
        counts = isinstance(data, Sum) and data.is_monotonic
        name = _NOT_IN_A_NAME.sub("_", metric.name) + ("_total" if counts else "")
        yield f"# HELP {name} {_escaped(metric.description or '')}\n"
        yield f"# TYPE {name} {'counter' if counts else 'gauge'}\n"
        for point in data.data_points:
            yield self._sample(name, point)

    def _sample(self, name: str, point: NumberDataPoint) -> str:
        labels: Mapping[str, Any] = {"service": self._service, **(point.attributes or {})}
        shown = ",".join(f'{_NOT_IN_A_NAME.sub("_", key)}="{_escaped(str(value))}"' for key, value in labels.items())
        return f"{name}{{{shown}}} {point.value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
