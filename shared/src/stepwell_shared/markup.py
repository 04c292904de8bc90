"""HTML as nested elements. Text is escaped wherever it stands, so that nothing a person types becomes markup.

https://html.spec.whatwg.org/multipage/syntax.html
"""

from collections.abc import Iterable
from html import escape

VOID = frozenset({"br", "input", "link", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Attribute = str | float | bool | None


def element(name: str, /, *content: object, **attributes: Attribute) -> Markup:
    """One element. `class_` and `for_` lose their underscore, other underscores become hyphens; None and False are left
    out, True stands for an attribute without a value."""
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    inner = "" if name in VOID else f"{_text(content)}</{name}>"
    return Markup(f"<{name}{opening}>{inner}")


def joined(*content: object) -> Markup:
    """Elements and texts after each other."""
    return Markup(_text(content))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def _text(content: object) -> str:
    if content is None or content is False:
        return ""
    if isinstance(content, Markup):
        return str(content)
    if isinstance(content, str):
        return escape(content, quote=False)
    if isinstance(content, Iterable):
        return "".join(_text(each) for each in content)
    return escape(str(content), quote=False)
