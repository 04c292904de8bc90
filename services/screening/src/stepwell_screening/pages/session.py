"""What a browser keeps of a form: which link it opened, whether its person has proved who they are, how they read.

A signed cookie for this form's address alone. It holds no answer and nothing of the person.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex

from stepwell_shared.pages.cookies import cookie, cookie_values
from stepwell_shared.runtime import Runtime
from stepwell_shared.signing import digest, opened, signed

from stepwell_screening.use_cases.form_links import Link

COOKIE = "stepwell-form"
PURPOSE = "form session"
CSRF = "form csrf"
# Given answers are shown for so long after somebody has proved who they are, counted from what they did last.
SHOWS = timedelta(minutes=20)


@dataclass(frozen=True)
class Session:
    """One browser at one form. `proved_at` is when its person last did something after proving who they are."""

    tenant: str
    link_id: str
    id: str
    proved_at: datetime | None = None
    language: str = ""
    is_large: bool = False

    @property
    def author(self) -> str:
        """How the database knows this session: by a digest, so that the row opens nothing."""
        return digest(self.id)

    def shows(self, now: datetime) -> bool:
        """Whether given answers may be shown in it."""
        return self.proved_at is not None and now - self.proved_at < SHOWS

    def proved(self, now: datetime) -> "Session":
        return replace(self, proved_at=now)

    def seen(self, now: datetime) -> "Session":
        """The session after its person did something."""
        return replace(self, proved_at=now) if self.shows(now) else self


def new_session(link: Link, before: Session | None = None) -> Session:
    """A session of somebody who has just opened the link; they read as they did before."""
    kept = before or Session("", "", "")
    return Session(link.tenant, link.id, token_hex(16), language=kept.language, is_large=kept.is_large)


def session_in(runtime: Runtime, cookies: str, *, secure: bool) -> Session | None:
    """The session of a Cookie header, if we made it."""
    for value in cookie_values(cookies, COOKIE, secure=secure):
        parts = opened(runtime, PURPOSE, value)
        if parts is not None and len(parts) == 6:
            tenant, link_id, id_, proved_at, language, is_large = parts
            moment = datetime.fromtimestamp(int(proved_at), UTC) if proved_at else None
            return Session(tenant, link_id, id_, moment, language, is_large == "1")
    return None


def cookie_of(runtime: Runtime, session: Session, path: str, *, secure: bool) -> str:
    """The Set-Cookie header."""
    proved_at = "" if session.proved_at is None else str(int(session.proved_at.timestamp()))
    parts = (session.tenant, session.link_id, session.id, proved_at, session.language, str(int(session.is_large)))
    value = signed(runtime, PURPOSE, *parts)
    return cookie(COOKIE, value, path, secure=secure)


def csrf_of(runtime: Runtime, session: Session) -> str:
    """What a post must bring to show that it comes from our page."""
    return signed(runtime, CSRF, session.id)


def is_ours(runtime: Runtime, session: Session, given: str) -> bool:
    """Whether a post comes from a page of this session."""
    return opened(runtime, CSRF, given) == (session.id,)
