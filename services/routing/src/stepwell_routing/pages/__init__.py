"""Pages for people who answer for a policy, and for teams that review together; each is behind a token."""

from stepwell_routing.pages.routes import staff_pages

__all__ = ["staff_pages"]
