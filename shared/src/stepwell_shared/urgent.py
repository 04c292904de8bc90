"""Which requests may be such that cannot wait, by method and address, and how that is seen in what they bring.

It is asked of what is about to be refused, thousands of times a second: an address is looked up, and a Bundle is looked
into so far and no further. Where that does not tell, it cannot wait.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

Test = Callable[[bytes], bool]

# To look into so much takes up to 3 ms, a twentieth of what storing it takes; of what is longer nobody can tell.
BUNDLE_BYTES_MAX = 256 * 1024
BUNDLE_RESOURCES_MAX = 64


class Urgent:
    """Knows the tests of resources below a base, by type, and by a pattern the addresses of acts that never wait."""

    def __init__(self, base: str, tests: Mapping[str, Test], acts: re.Pattern[str] | None = None) -> None:
        self._of_type = {f"{base}/{type_}": test for type_, test in tests.items()}
        self._posted = dict(self._of_type)
        if tests:
            self._posted[base] = self._posted[f"{base}/"] = _Entries(tests)
        self._acts = acts

    def __call__(self, method: str, path: str) -> Test | None:
        """How it is seen in the body of such a request that it cannot wait; None: it can, whatever it brings."""
        if method == "POST":
            is_act = self._acts is not None and self._acts.fullmatch(path)
            return _brings_something if is_act else self._posted.get(path)
        if method == "PUT":
            return self._of_type.get(path) or self._of_type.get(path.rpartition("/")[0])
        if method == "PATCH" and (path in self._of_type or path.rpartition("/")[0] in self._of_type):
            return _brings_something  # what it changes stands in the database
        return None


def nothing_is(method: str, path: str) -> Test | None:
    """Where everything can wait."""
    return None


def _brings_something(body: bytes) -> bool:
    return bool(body)


def _type_in(url: object) -> str:
    return re.split(r"[/?]", str(url), maxsplit=1)[0]


class _Entries:
    """Whether a batch or transaction brings a resource that cannot wait."""

    def __init__(self, tests: Mapping[str, Test]) -> None:
        self._tests = tests
        self._names = tuple(f'"{type_}'.encode() for type_ in tests)

    def __call__(self, body: bytes) -> bool:
        if not any(name in body for name in self._names):
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
            request = entry.get("request", {})
            if request.get("method") == "PATCH" and _type_in(request.get("url")) in self._tests:
                return True
            resource = entry.get("resource", {})
            test = self._tests.get(resource.get("resourceType"))
            if test is None:
                continue
            looked_at += 1
            if looked_at > BUNDLE_RESOURCES_MAX or test(orjson.dumps(resource)):
                return True
        return False
