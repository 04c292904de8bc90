"""Which of many things need themselves, directly or through others: found in time that grows with their number."""

from collections.abc import Mapping, Set


def in_circles(needs: Mapping[str, Set[str]]) -> set[str]:
    """The names that stand in a circle, or between two of them; what is needed and has no entry needs nothing."""
    known = {name: {each for each in needed if each in needs} for name, needed in needs.items()}
    ending = _pruned(known)
    return set(_pruned(_turned(ending)))


def _pruned(needs: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """What is left once everything is taken away that needs nothing of what is left."""
    left = {name: set(needed) for name, needed in needs.items()}
    users = _turned(left)
    ready = [name for name, needed in left.items() if not needed]
    while ready:
        done = ready.pop()
        del left[done]
        for user in users[done]:
            left[user].discard(done)
            if not left[user]:
                ready.append(user)
    return left


def _turned(needs: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Who needs each."""
    found: dict[str, set[str]] = {name: set() for name in needs}
    for name, needed in needs.items():
        for each in needed:
            found[each].add(name)
    return found
