"""Figures of one process for whoever watches it, as Prometheus text. No patient data, and never more series than fit.

What counts on the way of every request is a `Tally` or `Timings`: a look into a dictionary, and no more than can wait.
What is looked at when somebody asks is watched (`watch`).
https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4)
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Protocol

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Labels come from code and from what the site has published; should they still run away, the rest is one series.
SERIES_MAX = 2000
OTHER = "other"
# Upper bounds of buckets in seconds: a read takes one or two milliseconds, a caller gives up after tens of seconds.
SECONDS_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# So many durations of one series wait to be counted.
UNCOUNTED_MAX = 128

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


class _Series:
    """One series of a histogram: how many durations are in each bucket and how many are longer, and those that nobody
    has put into a bucket yet.
    """

    __slots__ = ("buckets", "total", "uncounted")

    def __init__(self) -> None:
        self.uncounted: list[float] = []
        self.buckets = [0] * (len(SECONDS_BOUNDS) + 1)
        self.total = 0.0

    def count(self) -> None:
        """Puts each into its bucket."""
        found = self.uncounted
        self.total += sum(found)
        found.sort()
        upwards = [0, *(bisect_right(found, bound) for bound in SECONDS_BOUNDS), len(found)]
        for bucket, (below, up_to) in enumerate(pairwise(upwards)):
            self.buckets[bucket] += up_to - below
        found.clear()


class Timings:
    """How often something took how long, by labels: a histogram. Durations are counted many at once, which a request
    that adds one need not wait for.
    """

    type = "histogram"

    def __init__(self, name: str, description: str, labels: Labels) -> None:
        self.name, self.description = name, description
        self._labels = labels
        self._series: dict[Labels, _Series] = {}

    def add(self, values: Labels, seconds: float) -> None:
        """Notes one duration, with a value for each label."""
        try:
            series = self._series[values]
        except KeyError:
            series = self._another(values)
        uncounted = series.uncounted
        uncounted.append(seconds)
        if len(uncounted) >= UNCOUNTED_MAX:
            series.count()

    def _another(self, values: Labels) -> "_Series":
        if len(self._series) >= SERIES_MAX:
            values = (OTHER,) * len(self._labels)
        return self._series.setdefault(values, _Series())

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        for values, series in self._series.items():
            series.count()
            labels = dict(zip(self._labels, values, strict=True))
            upwards = list(accumulate(series.buckets))
            for bound, count in zip((*map(str, SECONDS_BOUNDS), "+Inf"), upwards, strict=True):
                yield "_bucket", {**labels, "le": bound}, count
            yield "_sum", labels, series.total
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
        return "".join(line for each in self._published.values() for line in self._lines(each)).encode()

    def _lines(self, published: _Published) -> Iterator[str]:
        yield f"# HELP {published.name} {_escaped(published.description)}\n"
        yield f"# TYPE {published.name} {published.type}\n"
        for suffix, labels, value in published.samples():
            yield self._sample(published.name + suffix, labels, value)

    def _sample(self, name: str, labels: Mapping[str, str], value: float) -> str:
        named = {"service": self.service, **labels}
        shown = ",".join(f'{key}="{_escaped(each)}"' for key, each in named.items())
        return f"{name}{{{shown}}} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
