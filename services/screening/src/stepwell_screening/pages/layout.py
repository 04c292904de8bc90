"""What all form pages have in common: head, settings, whom to turn to, and the headers that keep them private."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from stepwell_shared.markup import Markup, element, joined
from stepwell_shared.pages.headers import security_headers

from stepwell_screening.pages.texts import LANGUAGES, Texts, texts_in
from stepwell_screening.use_cases.site import CrisisContact, Site

ASSETS: Mapping[str, str] = {"form.css": "text/css", "form.js": "text/javascript"}
ACT, LARGER, NORMAL, LANGUAGE = "act", "print:large", "print:normal", "language:"
FORM = "form"

# Nothing inline: style and script are the two assets.
HEADERS: Mapping[str, str] = security_headers(
    style_src="'self'", script_src="'self'", connect_src="'self'", form_action="'self'"
)


@dataclass(frozen=True)
class Frame:
    """Around what a page is: the words, the site, and how its person reads."""

    texts: Texts
    site: Site
    base: str
    is_large: bool = False


def page(frame: Frame, title: str, *content: object, has_error: bool = False, has_contacts: bool = True) -> bytes:
    """A whole page. `title` is its only first heading; an error is said in the title, which is read out first.

    The site's contacts stand at its foot, unless it begins with them.
    """
    texts = frame.texts
    prefix = f"{texts.said('problem.title')}: " if has_error else ""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{prefix}{title}{' - ' + frame.site.name if frame.site.name else ''}"),
        element("link", rel="stylesheet", href=asset_url(frame.base, "form.css")),
        element("script", src=asset_url(frame.base, "form.js"), defer=True),
    )
    body = element(
        "body",
        element("a", texts.said("page.skip"), href="#main", class_="skip"),
        element("header", element("p", frame.site.name, class_="site"), class_="top") if frame.site.name else None,
        element("main", element("h1", title), *content, id="main", tabindex=-1),
        _always(frame) if has_contacts else None,
        class_="large" if frame.is_large else None,
    )
    html = element("html", head, body, lang=texts.language, dir=texts.direction)
    return f"<!DOCTYPE html>{html}".encode()


def reading_settings(frame: Frame) -> Markup:
    """Language and text size, as buttons of the page's form: what was filled in is not lost by them."""
    texts = frame.texts
    size = (NORMAL, "page.normal") if frame.is_large else (LARGER, "page.larger")
    languages = [
        element("button", other.name, name=ACT, value=f"{LANGUAGE}{code}", lang=code, formnovalidate=True)
        for code in LANGUAGES
        if (other := texts_in(code)).language != texts.language
    ]
    return element(
        "div",
        languages,
        element("button", texts.said(size[1]), name=ACT, value=size[0], formnovalidate=True),
        class_="settings",
        role="group",
        aria_label=texts.said("page.settings"),
    )


def concern(frame: Frame, *, hidden: bool = False) -> Markup | None:
    """The help text for somebody whose answer says that they may not be safe."""
    if not frame.site.crisis_contacts:
        return None
    texts = frame.texts
    return element(
        "section",
        element("h2", texts.said("help.title"), id="help-title"),
        element("p", texts.said("help.concern")),
        _contacts(frame),
        id="help",
        class_="help",
        aria_labelledby="help-title",
        tabindex=-1,
        hidden=hidden,
    )


def _always(frame: Frame) -> Markup | None:
    """The same contacts at the foot of every page."""
    if not frame.site.crisis_contacts:
        return None
    texts = frame.texts
    return element(
        "footer",
        element("h2", texts.said("help.always_title")),
        element("p", texts.said("help.always")),
        _contacts(frame),
    )


def _contacts(frame: Frame) -> Markup:
    return element(
        "ul", [element("li", _contact(frame, each)) for each in frame.site.crisis_contacts], class_="contacts"
    )


def _contact(frame: Frame, contact: CrisisContact) -> Markup:
    language = frame.texts.language
    name_language, name = contact.said(contact.name, language)
    hours_language, hours = contact.said(contact.hours, language)
    said = element("strong", name, lang=_other(name_language, language))
    number = "".join(character for character in contact.phone if character.isdigit() or character == "+")
    call = f"{frame.texts.said('help.call')} {contact.phone}"
    return joined(
        said,
        element("span", hours, lang=_other(hours_language, language), class_="hours") if hours else None,
        element("a", element("bdi", call), href=f"tel:{number}", class_="call") if number else None,
        element("a", element("bdi", contact.url), href=contact.url, rel="noreferrer", class_="call")
        if contact.url
        else None,
    )


def _other(language: str, of_page: str) -> str | None:
    return None if language == of_page else language


def asset_url(base: str, name: str) -> str:
    """Where an asset is; its address changes with its content, so that it can be kept for good."""
    return f"{base}/assets/{name}?v={sha256(asset(name)).hexdigest()[:12]}"


@cache
def asset(name: str) -> bytes:
    """The bytes of an asset that ships."""
    return (files("stepwell_screening.pages") / "assets" / name).read_bytes()
