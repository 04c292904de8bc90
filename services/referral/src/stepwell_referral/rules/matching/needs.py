"""What a person needs of a place, and the parameters by which places are compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NEVER, SOMETIMES, OFTEN = "never", "sometimes", "often"


@dataclass(frozen=True, slots=True)
class Need:
    """What is known of a person's needs and wishes; what is not known is empty or None and rules out nothing.

    `barriers` says how often each gets in the way (sometimes, often). `conditions` None: not known. `position` is a
    unit vector, `hours` the hours of the week that suit (0: not said). `tier` "" looks for resources of the community
    that help with `helps_with`. `declined` are places that are out of the question.
    """

    tier: str = ""
    languages: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    barriers: Mapping[str, str] = field(default_factory=dict)
    accessibility: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    interpreter: bool = False
    age: int | None = None
    sex: str | None = None
    conditions: frozenset[str] | None = None
    address: Mapping[str, str] = field(default_factory=dict)
    position: tuple[float, float, float] | None = None
    hours: int = 0
    travel_minutes_max: int | None = None
    programme: str = ""
    specialty: str = ""
    helps_with: frozenset[str] = frozenset()
    declined: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Remedy:
    """What answers a barrier: ways of meeting, supports and prices that get round it, and whether opening outside
    working hours does. `supports` stand in the order in which they are arranged where the place has none."""

    modalities: frozenset[str]
    supports: tuple[str, ...]
    prices: frozenset[str] = frozenset()
    outside_work: bool = False
    by_language: bool = False
    by_accessibility: bool = False


@dataclass(frozen=True, slots=True)
class Travel:
    """How long a way takes: kilometres as the crow flies x detour / speed; limits by how often the way is a barrier."""

    speed_kilometres_per_hour: float
    detour: float
    minutes_max: Mapping[str, int]
    reference_minutes: int


@dataclass(frozen=True, slots=True)
class Parameters:
    """Points that are taken from 100, and what answers which barrier; all of it data with a source.

    `remote` are ways of meeting to which nobody travels, `modality_order` decides between equal ones; `work_hours` and
    `times` are hours of the week as bits; `shortlist` is how many places are compared by their wait.
    """

    points: Mapping[str, float]
    remedies: Mapping[str, Remedy]
    remote: frozenset[str]
    modality_order: tuple[str, ...]
    travel: Travel
    work_hours: int
    times: Mapping[str, int]
    wait_reference_days: int
    shortlist: int
