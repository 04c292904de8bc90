"""Pages of measurement: one person's trajectory, and the dashboards."""

from stepwell_shared.pages.door import Authenticate, doors_at
from stepwell_shared.runtime import Page, Runtime

from stepwell_measurement.pages.dashboards import dashboard_pages
from stepwell_measurement.pages.routes import trajectory_pages


def staff_pages(runtime: Runtime, authenticate: Authenticate) -> tuple[tuple[str, ...], Page]:
    """What answers at the addresses of all of them."""
    path, page = trajectory_pages(runtime, authenticate)
    return doors_at({path: page, **dashboard_pages(runtime, authenticate)})


__all__ = ["staff_pages", "trajectory_pages"]
