"""What each answer says to a browser, and what a service must never say: checks on answers of running services."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from stepwell_shared.http_client import HttpResponse

from tests.support.suite import Suite

TYPES = re.compile(
    r"application/(fhir\+json|json|yaml|fhir\+ndjson)|application/json; charset=utf-8"
    r"|(text/(html|plain|css|javascript)|image/svg\+xml|application/problem\+json); charset=utf-8"
)
# What is about nobody may be kept by a browser, as these say.
KEPT = re.compile(
    r".*(/fhir/metadata|/\.well-known/smart-configuration|/auth/jwks\.json|/openapi\.json|/forms/assets/.*)"
)
HEALTH = ("/livez", "/readyz", "/metrics")
# Addresses where there is nothing, in the words of the framework.
NOTHING = ('{"detail":"Not Found"}', '{"detail":"Method Not Allowed"}')
# CDS clients run in browsers: https://cds-hooks.hl7.org/2.0/#cors
OPEN_TO_ORIGINS = "/cds-services"


def faults_of(answer: HttpResponse) -> Iterator[str]:
    """What an answer leaves out, or says that it must not."""
    headers, path = answer.headers, urlsplit(str(answer.url)).path
    if headers.get_list("x-content-type-options") != ["nosniff"]:
        yield f"x-content-type-options: {headers.get_list('x-content-type-options')}"
    kept = headers.get("cache-control", "")
    may_be_kept = KEPT.fullmatch(path) or path in HEALTH or answer.text in NOTHING
    if "no-store" not in kept and not may_be_kept:
        yield f"cache-control: {kept}"
    if answer.content and not TYPES.fullmatch(headers.get("content-type", "")):
        yield f"content-type: {headers.get('content-type')}"
    for name in ("server", "x-powered-by", "access-control-allow-origin", "via"):
        if name in headers and not (name.startswith("access-") and OPEN_TO_ORIGINS in path):
            yield f"{name}: {headers[name]}"
    if headers.get("content-type", "").startswith("text/html"):
        yield from page_faults(answer)


def page_faults(answer: HttpResponse) -> Iterator[str]:
    """What a page lets a browser load, run, frame, send or tell beyond what is ours."""
    policy = {each.split()[0]: each.split()[1:] for each in _parts(answer.headers.get("content-security-policy", ""))}
    for name in ("default-src", "base-uri", "frame-ancestors"):
        if policy.get(name) != ["'none'"]:
            yield f"{name}: {policy.get(name)}"
    for name, sources in policy.items():
        if not all(re.fullmatch(r"'none'|'self'|'sha256-[\w+/=]+'|data:", each) for each in sources):
            yield f"{name}: {sources}"
    if answer.headers.get("referrer-policy") != "no-referrer":
        yield f"referrer-policy: {answer.headers.get('referrer-policy')}"
    for address in re.findall(r"""(?:href|src|action)\s*=\s*["']([^"']*)""", answer.text):
        if not re.match(r"/(?!/)|#|\?|tel:|https://|http://127\.0\.0\.1|[\w./?-]*$", address):
            yield f"leads to {address[:40]}"
    for address in re.findall(r"""(?:src|action)\s*=\s*["']([^"']*)|<link[^>]*href="([^"]*)""", answer.text):
        if "//" in "".join(address):
            yield f"loads {address}"


def _parts(policy: str) -> list[str]:
    return [each for each in policy.split(";") if each.strip()]


def secrets_of(suite: Suite) -> dict[str, str]:
    """What nobody must ever be told, by what it is: passwords of databases and the private halves of keys."""
    found = {}
    for service, urls in suite.deployment.databases.items():
        for login in ("owner", "runtime"):
            password = urlsplit(getattr(urls, login)).password
            if password:
                found[f"the {login}'s password of {service}"] = password
    for path in sorted(suite.deployment.home.rglob("*.jwk")):
        for each in _keys(path):
            found[f"{path.name}: {each[:4]}"] = each
    return found


def _keys(path: Path) -> Iterator[str]:
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in content.get("keys", [content]):
        yield str(key["d"])


def command_lines(suite: Suite) -> str:
    """How the processes of the suite were started, as everybody on the machine sees it."""
    names = [command.name for command in suite.processes.commands]
    paths = [Path(f"/proc/{suite.processes.pid_of(name)}/cmdline") for name in names]
    return "\n".join(path.read_bytes().replace(b"\0", b" ").decode() for path in paths)
