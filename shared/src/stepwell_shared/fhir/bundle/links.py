"""Links in a resource as JSON text: found by the definitions of its type, and replaced without touching the rest.

Rewritten are Reference.reference, elements of type uri, url, oid and uuid, and href and src in the narrative; canonical
stays (https://hl7.org/fhir/R4/http.html#trules). Members without a link stay byte for byte, decimals included.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape, unescape

import msgspec
import orjson

from stepwell_shared.fhir.definitions import served_types
from stepwell_shared.fhir.validation.shape import Property, shape

REFERENCE = "Reference"
_URIS = frozenset({"uri", "url", "oid", "uuid"})
# What no link that a Bundle resolves can do without: a placeholder, criteria, `Type/id`, or any of them in escapes.
_MARKS = re.compile(rb"urn:|\?|[A-Z][A-Za-z]+/[A-Za-z0-9]|\\")
_ATTRIBUTE = re.compile(r"""((?:href|src)\s*=\s*)("[^"]*"|'[^']*')""")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Link:
    """One link: its text, the kind of element that it is, and where it stands, as FHIRPath."""

    text: str
    kind: str
    at: str

    @property
    def is_reference(self) -> bool:
        return self.kind == REFERENCE


# The new text of a link, or None to leave it.
Replace = Callable[[Link], str | None]


def rewrite(body: bytes, at: str, replace: Replace) -> bytes:
    """The resource with its links replaced; the same bytes when there is nothing to replace.

    `body` is valid FHIR JSON of one resource; `at` is its place, such as `Bundle.entry[0].resource`.
    """
    return _resource(body, at, replace)


def _resource(body: bytes, at: str, replace: Replace) -> bytes:
    if _MARKS.search(body) is None:
        return body
    kind = orjson.loads(bytes(_members.decode(body).get("resourceType", b"null")))
    return _object(body, kind, at, replace) if isinstance(kind, str) and kind in served_types() else body


def _object(body: bytes, content: str, at: str, replace: Replace) -> bytes:
    """An object whose elements stand at `content` in the definitions."""
    members = _members.decode(body)
    properties = shape(content).properties
    changed = False
    for name, raw in members.items():
        old, prop = bytes(raw), properties.get(name)
        if prop is None or _MARKS.search(old) is None:
            continue
        place = f"{at}.{prop.element.name}"
        new = (
            _list(old, prop, content, place, replace)
            if old.startswith(b"[")
            else _value(old, prop, content, place, replace)
        )
        if new is not old:
            members[name], changed = msgspec.Raw(new), True
    if not changed:
        return body
    return b"{%b}" % b",".join(orjson.dumps(name) + b":" + bytes(raw) for name, raw in members.items())


def _list(body: bytes, prop: Property, parent: str, at: str, replace: Replace) -> bytes:
    old = [bytes(raw) for raw in _items.decode(body)]
    new = [_value(raw, prop, parent, f"{at}[{index}]", replace) for index, raw in enumerate(old)]
    if all(one is other for one, other in zip(old, new, strict=True)):
        return body
    return b"[%b]" % b",".join(new)


def _value(body: bytes, prop: Property, parent: str, at: str, replace: Replace) -> bytes:
    if body.startswith(b"{"):
        return (
            _resource(body, at, replace)
            if prop.kind == "Resource"
            else _object(body, prop.content or "Element", at, replace)
        )
    is_reference = parent == REFERENCE and prop.name == "reference"
    is_text = body.startswith(b'"')
    if is_text and (is_reference or prop.kind in _URIS):
        link = Link(orjson.loads(body), REFERENCE if is_reference else prop.kind, at)
        text = replace(link)
        return body if text in (None, link.text) else orjson.dumps(text)
    if is_text and prop.kind == "xhtml":
        old = orjson.loads(body)
        new = _narrative(old, at, replace)
        return body if new == old else orjson.dumps(new)
    return body


def _narrative(text: str, at: str, replace: Replace) -> str:
    """XHTML with the links of `a` and `img` replaced; no other text of valid XHTML looks like these attributes."""

    def attribute(match: re.Match[str]) -> str:
        start, quoted = match.groups()
        new = replace(Link(unescape(quoted[1:-1]), "xhtml", at))
        return match[0] if new is None else f'{start}"{escape(new)}"'

    return re.sub(r"<[a-z][^<>]*>", lambda tag: _ATTRIBUTE.sub(attribute, tag[0]), text)
