"""Which requests may be such that cannot wait, by method and address, and how that is seen in what they bring.

It is asked of what is about to be refused, thousands of times a second: an address is looked up, and a Bundle is looked
into so far and no further. Where that does not tell, it cannot wait.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

Test = Callable[[bytes], bool]

# To look into so much takes up to 3 ms, a twentieth of what storing it takes; of what is longer nobody can tell.
BUNDLE_BYTES_MAX = 256 * 1024
BUNDLE_RESOURCES_MAX = 64


class Urgent:
    """Knows the tests of what is sent to addresses below a base, and the pages where whatever is sent cannot wait.

    A test is known by `Type`, for what is created and changed, or by `Type/$operation`, for the type and each resource.
    """

    def __init__(self, base: str, tests: Mapping[str, Test], pages: str | None = None) -> None:
        self._below, self._tests, self._pages = f"{base}/", tests, pages
        self._posted = {f"{base}/{name}": test for name, test in tests.items()}
        if tests:
            self._posted[base] = self._posted[f"{base}/"] = _Entries(tests)

    def __call__(self, method: str, path: str) -> Test | None:
        """How it is seen in the body of such a request that it cannot wait; None: it can, whatever it brings."""
        if method == "POST":
            if self._pages is not None and path.startswith(self._pages):
                return brings_something
            return self._posted.get(path) or (self._tests.get(self._named(path)) if "/$" in path else None)
        if method in {"PUT", "PATCH"} and "$" not in path:
            test = self._tests.get(self._named(path))
            return brings_something if test and method == "PATCH" else test  # what it changes stands in the database
        return None

    def _named(self, path: str) -> str:
        """What a test would be known by for a path of one type, one resource or one operation of them; else nothing."""
        if not path.startswith(self._below):
            return ""
        named = _named(path[len(self._below) :])
        return named if path.count("/", len(self._below)) <= 1 + ("$" in named) else ""


def nothing_is(method: str, path: str) -> Test | None:
    """Where everything can wait."""
    return None


def brings_something(body: bytes) -> bool:
    """The test of what cannot wait whatever is in it."""
    return bool(body)


def _named(address: str) -> str:
    """The type in a relative address, with the operation if it is of one."""
    type_, _, rest = address.partition("?")[0].partition("/")
    last = rest.rpartition("/")[2]
    return f"{type_}/{last}" if last.startswith("$") else type_


class _Entries:
    """Whether a batch or transaction brings what cannot wait."""

    def __init__(self, tests: Mapping[str, Test]) -> None:
        self._tests = tests
        # an operation may bring anything, a type is named by its resource or at the beginning of an address
        self._words = tuple((f"/{name.partition('/')[2]}" if "/" in name else f'"{name}').encode() for name in tests)

    def __call__(self, body: bytes) -> bool:
        if not any(word in body for word in self._words):
            return False
        if len(body) > BUNDLE_BYTES_MAX:
            return True
        try:
            return self._any_cannot_wait(orjson.loads(body))
        except (ValueError, TypeError, KeyError, AttributeError):
            return False  # no such Bundle; it is told so when there is room

    def _any_cannot_wait(self, bundle: dict[str, Any]) -> bool:
        looked_at = 0
        for entry in bundle["entry"]:
            request, resource = entry.get("request", {}), entry.get("resource", {})
            named = _named(str(request.get("url")))
            if request.get("method") == "PATCH" and named in self._tests:
                return True
            test = self._tests.get(named if "$" in named else resource.get("resourceType"))
            if test is None:
                continue
            looked_at += 1
            if looked_at > BUNDLE_RESOURCES_MAX or test(orjson.dumps(resource)):
                return True
        return False
