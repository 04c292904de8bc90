"""Pages for people who answer for a policy; each is behind a token."""

from stepwell_routing.pages.routes import policy_pages

__all__ = ["policy_pages"]
