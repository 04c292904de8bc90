"""What no service does, read from the sources: run text as code, open what a request names, guess, or go round a guard.

The commands of the terminal (`cli/`, `*commands.py`) act for whoever has the machine already, and start programs.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from stepwell_shared.http_client import guarded_client, http_client

from tests.architecture.test_repository import ROOT, tracked_files

SOURCES = ("shared/src", *(f"services/{name}/src" for name in ("screening", "routing", "referral", "measurement")))
RUNS = re.compile(
    r"(eval|exec|compile|__import__|os\.(system|popen|exec\w*|spawn\w*)|yaml\.(load|unsafe_load)|.*create_subprocess_\w+)"
)
# What starts a program, and which: one that nothing that is sent can name or give an argument.
PROGRAMS = {
    "stepwell_measurement/use_cases/deciding.py: asyncio.create_subprocess_exec": "this Python, with that module",
}
RUNNING_MODULES = {"subprocess", "pickle", "marshal", "shelve", "jsonpickle", "dill", "jinja2", "code", "codeop", "pty"}
# Where a pattern is put together here, and from what.
PATTERNS_PUT_TOGETHER = {
    "fhir/paths.py": "the type of a definition that ships",
    "fhir/search/terms.py": "two marks that are written there",
    "fhir/validation/primitives.py": "the patterns of R4 that are written there",
    "fhir/validation/references.py": "names that are written there",
    "use_cases/urgency.py": "codes of instruments that ship, escaped",
    "rules/fhirpath/patterns.py": "one escaped character, or a class whose text was read character by character",
    "views/paths.py": "marks that are written there",
}
# Modules of a service that open files, and which: settings and keys that the deployment names, and data that ships.
FILES_OPENED = {
    "stepwell_shared/auth/keys.py": "keys that settings name",
    "stepwell_shared/auth/key_ring.py": "keys that settings name",
    "stepwell_shared/auth/external_issuers.py": "the file of issuers that settings name",
    "stepwell_shared/auth/introspection_client.py": "the secret that settings name",
    "stepwell_shared/revisions.py": "the migrations that ship with a service",
    "stepwell_shared/runtime.py": "the service's key",
    "stepwell_shared/signing.py": "the service's key",
    "stepwell_shared/views/writing.py": "tables that `stepwell export` writes",
    "stepwell_measurement/use_cases/deciding.py": "what the system says of the memory of the container",
    "stepwell_measurement/use_cases/dashboards.py": "the site file that settings name",
    "stepwell_measurement/use_cases/site.py": "the site file that settings name",
    "stepwell_screening/use_cases/site.py": "the site file that settings name",
}
CALLERS = {
    "stepwell_shared/app.py": ("http_client", "the issuer's keys, introspection and clients' keys, by fetch_json"),
    "stepwell_shared/announcing.py": ("http_client", "subscribers, by public_target unless internal or configured"),
    "stepwell_shared/federation/running.py": ("guarded_client", "partners"),
    "stepwell_shared/auth/client_keys.py": ("fetch_json", "the key pages of clients"),
    "stepwell_shared/auth/issuer_keys.py": ("fetch_json", "the issuer's keys, at an address of the settings"),
    "stepwell_shared/auth/fetching.py": ("public_target", "whatever is fetched as JSON"),
    "stepwell_shared/events/courier.py": ("public_target", "the endpoints of Subscriptions"),
}


@cache
def modules() -> dict[str, ast.Module]:
    """The syntax of each module of a service, by its path below src/."""
    found = {}
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT / folder).as_posix()
            if "/cli/" not in name and not name.endswith("commands.py") and name != "stepwell_shared/http_client.py":
                found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@cache
def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Each call in a module, by what is called, such as `re.compile`, or `.open` of something that has no name."""
    return [(_name_of(node.func), node) for node in ast.walk(modules()[name]) if isinstance(node, ast.Call)]


def _name_of(called: ast.expr) -> str:
    if isinstance(called, ast.Attribute):
        return f"{_name_of(called.value)}.{called.attr}"
    return called.id if isinstance(called, ast.Name) else ""


@cache
def imported(name: str) -> set[str]:
    """The modules that a module imports."""
    nodes = [node for node in ast.walk(modules()[name]) if isinstance(node, ast.Import | ast.ImportFrom)]
    plain = {each.name for node in nodes if isinstance(node, ast.Import) for each in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_no_service_runs_programs_or_text_as_code() -> None:
    assert len(modules()) > 300
    found = [f"{name}: {called}" for name in modules() for called, _ in calls(name) if RUNS.fullmatch(called)]
    found += [f"{name}: {each}" for name in modules() for each in imported(name) if each in RUNNING_MODULES]
    assert found == list(PROGRAMS), "say here which program it is"


def test_no_pattern_is_built_from_what_somebody_sent() -> None:
    built = {
        name
        for name in modules()
        for called, node in calls(name)
        if re.fullmatch(r"re\.(compile|match|fullmatch|search|sub|split|findall|finditer)", called)
        and not isinstance(node.args[0], ast.Constant)
    }
    known = {name for name in built if any(name.endswith(each) for each in PATTERNS_PUT_TOGETHER)}
    assert built - known == set(), "a pattern that is put together: escape what goes in, and say here what it is"


def test_no_service_opens_a_file_that_a_request_names() -> None:
    opening = re.compile(r"open|os\.(open|fdopen)|.*\.(read_text|read_bytes|write_text|write_bytes|unlink)")
    found = set()
    for name in modules():
        for called, node in calls(name):
            modes = [each.value for each in node.args[:1] if isinstance(each, ast.Constant)]
            if opening.fullmatch(called) or (called.endswith(".open") and (not node.args or modes)):
                written = ast.unparse(node)
                found |= set() if "files(" in written or "__file__" in written else {name}
    # `each.read_bytes()` in a loop over what ships with a package is no file that anybody names.
    shipped = {name for name in found if "importlib.resources" in imported(name)}
    assert found - shipped <= FILES_OPENED.keys(), "say here which files these are"


def test_what_must_not_be_guessed_comes_from_a_secure_source() -> None:
    """`random` decides when something is tried again, and what is sampled; never a name, a key or a token."""
    guessed = {name for name in modules() if "random" in imported(name)}
    assert guessed <= {
        "stepwell_shared/events/delivery.py",
        "stepwell_shared/fhir/bundle/transaction.py",
        "stepwell_shared/telemetry/tracing.py",
        "stepwell_routing/rules/synthetic.py",  # people who are made up, with a seed, to try a policy on
    }
    for name in modules():
        for called, node in calls(name):
            if re.fullmatch(r"(secrets\.)?token_(hex|urlsafe|bytes)", called):
                assert not node.args or ast.literal_eval(node.args[0]) >= 16, f"{name}: 128 bits at least"


def test_no_weak_hash_is_used() -> None:
    weak = re.compile(r"(hashlib\.)?(md5|sha1|new)")
    assert [f"{name}: {called}" for name in modules() for called, _ in calls(name) if weak.fullmatch(called)] == []


def test_every_address_that_somebody_gives_us_is_called_through_the_guard() -> None:
    """Who makes a client or goes past the guard is named here with what it calls; nobody else calls anybody."""
    names = {"http_client", "guarded_client", "public_target", "fetch_json"}
    found = {(name, called) for name in modules() for called, _ in calls(name) if called in names}
    assert found == {(name, called) for name, (called, _) in CALLERS.items()}
    assert [name for name in modules() if imported(name) & {"httpx", "requests", "urllib.request", "aiohttp"}] == []


async def test_no_client_of_ours_follows_a_redirect() -> None:
    async with http_client() as plain, guarded_client(lambda url: False) as guarded:
        assert (plain.follow_redirects, guarded.follow_redirects) == (False, False)
    text = (ROOT / "shared/src/stepwell_shared/http_client.py").read_text(encoding="utf-8")
    assert "follow_redirects=True" not in text


def test_no_script_of_a_page_keeps_anything() -> None:
    scripts = list((ROOT / "services").glob("*/src/**/*.js"))
    assert scripts
    forbidden = re.compile(
        r"localStorage|sessionStorage|indexedDB|document\.cookie|innerHTML|outerHTML|eval\(|caches\b"
    )
    assert [path.name for path in scripts if forbidden.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: nothing says which files are ours")
def test_no_key_or_password_is_in_the_repository() -> None:
    secret = re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY|\"d\":\s*\"[A-Za-z0-9_-]{40,}\"|\bAKIA[0-9A-Z]{16}\b"
        r"|\bgh[pousr]_[A-Za-z0-9]{36}\b|postgres(?:ql)?://[^:/\s]+:[^@{}<\s]{8,}@(?!host|127|localhost)"
    )
    assert [name for name, text in tracked_files() if Path(name).suffix != ".lock" and secret.search(text)] == []
