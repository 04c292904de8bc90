"""What a round of load comes to: rates, percentiles and processor time for each request."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.load import Measured

CLIENT_CPU_SHARE_MAX = 0.8
"""A load generator that is busier than this on its core may be what is measured."""


@dataclass(frozen=True)
class Rate:
    """Medians over the rounds of one side; milliseconds for latencies, microseconds of processor for each request."""

    per_second: float
    p50: float
    p99: float
    client_cpu_share: float
    client_cpu: float = 0.0
    server_cpu: float = 0.0
    """Of the service's process."""
    postgres_cpu: float = 0.0
    """Of PostgreSQL with all its processes."""

    def possible_per_second(self, processors: int) -> float:
        """What the processor time allows on so many processors that have nothing else to do and never wait for a disk.

        Server and client have one each at most. It hardly depends on what else the machine does.
        """
        together = (self.server_cpu + self.postgres_cpu + self.client_cpu) / processors
        return 1e6 / max(self.server_cpu, self.client_cpu, together, 1.0)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies, in milliseconds; 0 without values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0


@dataclass
class Side:
    """The rounds of one side, with what the server and PostgreSQL spent on each, in seconds."""

    rounds: list[Measured] = field(default_factory=list)
    server_seconds: list[float] = field(default_factory=list)
    postgres_seconds: list[float] = field(default_factory=list)

    def add(self, measured: Measured, server_seconds: float = 0.0, postgres_seconds: float = 0.0) -> None:
        """One more round."""
        self.rounds.append(measured)
        self.server_seconds.append(server_seconds)
        self.postgres_seconds.append(postgres_seconds)

    def rate(self) -> Rate:
        """The medians."""
        return Rate(
            per_second=statistics.median(each.per_second for each in self.rounds),
            p50=statistics.median(percentile(each.latencies_seconds, 0.50) for each in self.rounds),
            p99=statistics.median(percentile(each.latencies_seconds, 0.99) for each in self.rounds),
            client_cpu_share=statistics.median(each.client_cpu_seconds / each.seconds for each in self.rounds),
            client_cpu=self._per_request([each.client_cpu_seconds for each in self.rounds]),
            server_cpu=self._per_request(self.server_seconds),
            postgres_cpu=self._per_request(self.postgres_seconds),
        )

    def _per_request(self, seconds: Sequence[float]) -> float:
        pairs = zip(seconds, self.rounds, strict=True)
        return statistics.median(spent / measured.count for spent, measured in pairs) * 1e6
