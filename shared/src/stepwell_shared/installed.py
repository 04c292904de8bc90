"""The services that are installed here, found by the entry points that their packages declare."""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from stepwell_shared.runtime import Service


@cache
def service_named(name: str) -> Service:
    """The installed service of this name, looked up once; raises LookupError with what to do."""
    for entry_point in entry_points(group="stepwell.services", name=name):
        service = entry_point.load()
        assert isinstance(service, Service)
        return service
    raise LookupError(f"the service {name} is not installed; install its package beside stepwell-shared")


def commands_of_services(arguments: Sequence[str]) -> Iterator[Any]:
    """What adds the commands of services to `stepwell` that these arguments ask for: one by its name, or the help all.

    Each takes the Typer application. A serving process loads none of them.
    """
    asked = arguments[0] if arguments else "--help"
    for entry_point in entry_points(group="stepwell.commands"):
        if asked in {entry_point.name, "--help"}:
            yield entry_point.load()
