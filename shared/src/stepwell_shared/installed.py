"""The services that are installed here, found by the entry points that their packages declare."""

from functools import cache
from importlib.metadata import entry_points

from stepwell_shared.runtime import Service


@cache
def service_named(name: str) -> Service:
    """The installed service of this name, looked up once; raises LookupError with what to do."""
    for entry_point in entry_points(group="stepwell.services", name=name):
        service = entry_point.load()
        assert isinstance(service, Service)
        return service
    raise LookupError(f"the service {name} is not installed; install its package beside stepwell-shared")
