"""The worklist: pages for those who coordinate referrals, and the same as data; behind a token or a sign-in."""

from stepwell_referral.pages.routes import worklist_pages

__all__ = ["worklist_pages"]
