"""What must be reached and what is aimed at: one process a service, 16 connections, 2 cores, everything switched on."""

from dataclasses import dataclass

GOAL_CLIENTS = 16


@dataclass(frozen=True)
class Goal:
    """A ratio that must be reached, and the one aimed at."""

    must: float
    aim: float

    def mark(self, ratio: float) -> str:
        """Whether it is met, for the eye."""
        if ratio >= self.aim:
            return "[green]aim met[/green]"
        return "[green]met[/green]" if ratio >= self.must else "[red]not met[/red]"

    def __str__(self) -> str:
        return f"{self.must:g} / {self.aim:g}"


# Of the PostgreSQL floor; validation, authentication, tenancy and audit on.
FLOOR_GOALS = {"create": Goal(0.38, 0.50), "read": Goal(0.22, 0.35), "search": Goal(0.20, 0.30)}
# Times the idiomatic way.
IDIOMATIC_GOALS = {"create": Goal(10, 14), "read": Goal(12, 20), "search": Goal(40, 80)}
CHAIN_GOAL = Goal(0.35, 0.45)
CHAIN_PACE_MIN = 0.95
P99_MILLISECONDS_MAX = 30.0
RESPONSE_P99_MILLISECONDS_MAX = 25.0
SMALL_TENANT_MILLISECONDS_MAX = 10.0
READY_SECONDS_MAX = 3.0
# Of a request's processor time, where 1 in 100 is recorded.
TELEMETRY_SHARE_MAX = 0.05
MEMORY_MIB_MAX = 120.0


def limit_mark(value: float, most: float) -> str:
    """Whether a value stays below what is allowed, for the eye."""
    return "[green]met[/green]" if value < most else "[red]not met[/red]"
