"""The form pages: what a person sees who fills in a form. Server-rendered; a small script only saves as they go."""

from stepwell_screening.pages.routes import form_pages

__all__ = ["form_pages"]
