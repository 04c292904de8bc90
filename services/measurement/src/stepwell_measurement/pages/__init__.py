"""What people read of results; each address is behind a token."""

from stepwell_measurement.pages.routes import trajectory_pages

__all__ = ["trajectory_pages"]
