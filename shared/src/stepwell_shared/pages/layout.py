"""What pages are made of: a whole page without script, its style, and tables; all of it reads on paper too."""

from collections.abc import Sequence

from stepwell_shared.markup import Markup, element
from stepwell_shared.pages.headers import hash_of, security_headers
from stepwell_shared.pages.words import phrase

STYLE = Markup(
    ":root{--ink:#1f2a33;--faint:#55626d;--line:#b9c2c9;--accent:#14586b;--paper:#fff;--wash:#f2f5f6}"
    "*{box-sizing:border-box}"
    "body{font:1.0625rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:64rem;"
    "margin:auto;padding:1rem}"
    "h1{font-size:1.75rem;line-height:1.2;margin:.5rem 0 1rem}h2{font-size:1.25rem;line-height:1.3;margin:2rem 0 .5rem}"
    "h3{font-size:1.0625rem;margin:1.25rem 0 .25rem}a{color:var(--accent)}"
    ":focus-visible{outline:3px solid var(--accent);outline-offset:2px}"
    "table{border-collapse:collapse;margin:1rem 0}caption{text-align:start;font-weight:600;padding:.25rem 0}"
    "th,td{border:1px solid #76828c;padding:.25rem .75rem}th{text-align:start}td{vertical-align:top}"
    "thead th{background:var(--wash)}svg{max-width:100%;height:auto;display:block}"
    "button,input,select,textarea{font:inherit;color:inherit;padding:.4rem .75rem;border:1px solid #5d6972;"
    "border-radius:.25rem;background:var(--paper);max-width:100%}"
    "button{background:var(--accent);border-color:var(--accent);color:#fff;cursor:pointer}"
    ".skip{position:absolute;left:-100vw}.skip:focus{position:static}.faint{color:var(--faint)}"
    ".scroll{overflow-x:auto}.unsafe{border:4px solid #9b1c1c;padding:1rem}"
    "@media print{body{max-width:none;padding:0;font-size:10pt}nav,form,.skip{display:none}"
    "section,tr,svg{break-inside:avoid}h2,h3{break-after:avoid}}"
)


def page_headers(*styles: str, has_forms: bool = False) -> dict[str, str]:
    """The headers of a page with the common style, and others that it brings."""
    allowed = " ".join(hash_of(each) for each in (STYLE, *styles))
    return {
        **security_headers(style_src=allowed, form_action="'self'" if has_forms else "'none'"),
        "Vary": "Accept, Accept-Language",
    }


def whole_page(
    title: str,
    *content: object,
    language: str = "en",
    styles: Sequence[Markup] = (),
    navigation: Markup | None = None,
    window: str = "",
) -> bytes:
    """A page; `content` stands below its title, `navigation` above both.

    `window` is what the browser's window and history say, for a title that names a person.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", window or title),
        [element("style", each) for each in (STYLE, *styles)],
    )
    body = element(
        "body",
        element("a", phrase("skip", language), href="#main", class_="skip"),
        element("header", navigation) if navigation is not None else None,
        element("main", element("h1", title), *content, id="main", tabindex=-1),
    )
    return f"<!DOCTYPE html>{element('html', head, body, lang=language)}".encode()


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    """A table with its caption; the first cell of each row names it."""
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", [element("th", head, scope="col") for head in heads])),
        element("tbody", [_row(row) for row in rows]),
    )


def _row(row: Sequence[object]) -> Markup:
    first, *others = row
    return element("tr", element("th", first, scope="row"), [element("td", each) for each in others])
