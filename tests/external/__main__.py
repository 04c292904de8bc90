"""`make check`: the checks that need more than pip packages. A check that this machine cannot have says so and why."""

import sys
from collections.abc import Callable

from tests.external import hl7

CHECKS: tuple[tuple[str, Callable[[], bool]], ...] = (("HL7 validator", hl7.validate),)


def main() -> int:
    """Runs every check; 1 if one of them found something."""
    passed = failed = skipped = 0
    for name, check in CHECKS:
        print(f"-- {name}", flush=True)
        try:
            good = check()
        except hl7.SkippedError as reason:
            print(f"SKIPPED {name}: {reason}")
            skipped += 1
            continue
        passed += good
        failed += not good
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
