"""The instruments that ship with screening, compiled once."""

from functools import cache

from stepwell_screening import data
from stepwell_screening.instruments.compiled import Instrument, compile_instrument
from stepwell_screening.rules.publication import newest


@cache
def instruments() -> dict[str, Instrument]:
    """Every shipped instrument by its canonical with version."""
    found = [_compiled(name) for name in data.shipped()]
    return {instrument.canonical: instrument for instrument in found}


@cache
def newest_instruments() -> dict[str, Instrument]:
    """The newest shipped version of each instrument by its url."""
    found: dict[str, dict[str, Instrument]] = {}
    for instrument in instruments().values():
        found.setdefault(instrument.questionnaire["url"], {})[instrument.questionnaire["version"]] = instrument
    return {url: versions[newest(list(versions))] for url, versions in found.items()}


def _compiled(name: str) -> Instrument:
    questionnaire = data.questionnaire(name)
    if not data.is_scored(name):
        return compile_instrument(questionnaire, None)
    scoring, canonical = data.scoring(name), f"{questionnaire['url']}|{questionnaire['version']}"
    if scoring["questionnaire"] != canonical:
        raise ValueError(f"the scoring of {name} is for {scoring['questionnaire']}, not {canonical}")
    return compile_instrument(questionnaire, scoring)
