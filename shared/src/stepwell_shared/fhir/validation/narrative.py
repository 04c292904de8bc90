"""Whether a narrative is safe XHTML: txt-1 (only formatting elements and attributes) and txt-2 (some content).

Read by expat without entities or a document type, so that neither scripts nor entity tricks pass.
https://hl7.org/fhir/R4/narrative.html
"""

import re
from xml.parsers import expat

_NAMESPACE = "http://www.w3.org/1999/xhtml"
_ELEMENTS = frozenset({
    "a", "abbr", "acronym", "address", "b", "big", "blockquote", "br", "caption", "cite", "code", "col", "colgroup",
    "dd", "del", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd",
    "li", "ol", "p", "pre", "q", "samp", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot",
    "th", "thead", "tr", "tt", "ul", "var",
})  # fmt: skip
_ATTRIBUTES = frozenset({
    "abbr", "accesskey", "align", "alt", "axis", "bgcolor", "border", "cellhalign", "cellpadding", "cellspacing",
    "cellvalign", "char", "charoff", "cite", "class", "colspan", "dir", "frame", "headers", "height", "href",
    "hspace", "id", "lang", "longdesc", "name", "nowrap", "rowspan", "rules", "scope", "span", "src", "start",
    "style", "summary", "tabindex", "title", "type", "valign", "value", "vspace", "width", "xml:lang",
})  # fmt: skip
_LINK_SCHEMES = ("http:", "https:", "ftp:", "mailto:", "tel:", "#", "cid:", "urn:")
_CONTENT = re.compile(r">\s*[^\s<]|<img\b")
_IMAGE = "data:image/"


class _UnsafeError(Exception):
    """The narrative holds something that txt-1 does not allow."""


class _Reader:
    def __init__(self) -> None:
        self.depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if namespace != _NAMESPACE or local not in _ELEMENTS or (self.depth == 0 and local != "div"):
            raise _UnsafeError
        for attribute, value in attributes.items():
            if attribute.replace("http://www.w3.org/XML/1998/namespace ", "xml:") not in _ATTRIBUTES:
                raise _UnsafeError
            if not _is_harmless(attribute, value):
                raise _UnsafeError
        self.depth += 1

    def end(self, _: str) -> None:
        self.depth -= 1

    def refuse(self, *_: object) -> None:
        raise _UnsafeError


def _is_harmless(attribute: str, value: str) -> bool:
    """A link needs a harmless scheme or none: any other colon could be a script. A style must not load anything."""
    if attribute == "style":
        return not any(word in value.lower() for word in ("url", "expression", "import", "\\"))
    if attribute not in ("href", "src", "cite", "longdesc"):
        return True
    link = value.strip().lower()
    if attribute == "src" and link.startswith(_IMAGE):
        return True
    return link.startswith(_LINK_SCHEMES) or ":" not in link.partition("?")[0]


def is_safe(div: object) -> bool:
    """Whether the text of `Narrative.div` is well-formed XHTML with nothing but harmless formatting (txt-1)."""
    if not isinstance(div, str):
        return False
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.ProcessingInstructionHandler = reader.refuse
    try:
        parser.Parse(div, True)
    except (expat.ExpatError, _UnsafeError):
        return False
    return True


def has_content(div: object) -> bool:
    """Whether there is anything to read or see in the text of `Narrative.div` (txt-2)."""
    return isinstance(div, str) and _CONTENT.search(div) is not None
