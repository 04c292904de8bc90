"""The skeletons that forms of a site are held to: of instruments without wording, and of those that ship with it."""

from functools import cache

from stepwell_screening import data
from stepwell_screening.rules.skeletons import Skeleton, parse_skeleton, skeleton_of


@cache
def skeletons() -> dict[str, Skeleton]:
    """Every instrument that a site may bring a form of, by its id: licence classes B and C, and A for translations."""
    brought = {name: parse_skeleton(data.skeleton(name)) for name in data.skeletons()}
    free = {name: _shipped(name) for name in data.shipped() if _makes_scores(name)}
    return dict(sorted({**free, **brought}.items()))


def _shipped(name: str) -> Skeleton:
    return skeleton_of(data.questionnaire(name), data.scoring(name)["name"])


def _makes_scores(name: str) -> bool:
    return data.is_scored(name) and bool(data.scoring(name)["scores"])
