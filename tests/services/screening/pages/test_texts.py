"""The words of the pages: the same ones in every language, and none that people should not read."""

import re
from string import Formatter

import pytest
from stepwell_screening.pages.texts import LANGUAGES, texts_for, texts_in
from stepwell_shared.markup import Markup, element, joined

UNWANTED = re.compile(
    r"failed|refractory|non-compliant|all in your head|nothing is wrong|crippled|harmed|severe|mild|moderate|depress|"
    r"anxi|phase|tier|score",
    re.IGNORECASE,
)


def keys(language: str) -> dict[str, set[str | None]]:
    """Each key with the values that are put into its words."""
    words = texts_in(language).words
    return {
        f"{section}.{name}": {field for _, field, _, _ in Formatter().parse(text) if field}
        for section, texts in words.items()
        for name, text in texts.items()
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same_things(language: str) -> None:
    assert keys(language) == keys("en")
    assert texts_in(language).language == language


def test_no_word_names_a_condition_a_band_or_blames_anybody() -> None:
    said = [text for section in texts_in("en").words.values() for text in section.values()]
    assert [text for text in said if UNWANTED.search(text)] == []


@pytest.mark.parametrize(
    ("header", "chosen", "language"),
    [("", "", "en"), ("xx", "", "en"), ("fr-CA, en;q=0.1", "", "fr"), ("fr", "de", "de"), ("fr", "xx", "fr")],
)
def test_who_has_chosen_a_language_gets_it_and_others_the_browsers(header: str, chosen: str, language: str) -> None:
    assert texts_for(header, chosen).language == language


def test_text_and_attributes_are_escaped_wherever_they_stand() -> None:
    built = element("p", "<b>", element("i", "&"), title='"><script>', hidden=True, lang=None)
    assert built == '<p title="&quot;&gt;&lt;script&gt;" hidden>&lt;b&gt;<i>&amp;</i></p>'
    assert joined("<", None, False, 3, [Markup("<br>"), "x"]) == "&lt;3<br>x"
