"""A plot with the table of its numbers: who cannot read the one reads the other, and paper has both."""

from collections.abc import Sequence

from stepwell_shared.markup import Markup, element
from stepwell_shared.pages.layout import table


def figure(
    plot: Markup, caption: str, heads: Sequence[str], rows: Sequence[Sequence[object]], *, opened: str
) -> Markup:
    """The plot, and below it its table behind the words `opened`; a printer shows both."""
    return element(
        "figure",
        plot,
        element("details", element("summary", opened), _scrolled(caption, table(caption, heads, rows))),
    )


def _scrolled(caption: str, content: Markup) -> Markup:
    """What may be wider than a phone: it scrolls by itself, also by keyboard."""
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)
