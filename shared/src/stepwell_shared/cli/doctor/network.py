"""What the doctor sees over HTTP: that services answer, by which release, clock and certificate, and take tokens."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from stepwell_shared.auth.external_issuers import ExternalIssuer, IssuersFileError, read_external_issuers
from stepwell_shared.auth.keys import KeyFileError, load_private_key
from stepwell_shared.auth.service_tokens import TokenRequestError, request_token
from stepwell_shared.cli.doctor import findings
from stepwell_shared.cli.doctor.findings import Finding, State
from stepwell_shared.http_client import HttpClient, HttpError
from stepwell_shared.openapi import VERSION

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SECONDS_MAX = 10


async def examine(http: HttpClient, service: str, base_url: str, issuer_url: str | None) -> list[Finding]:
    """One service, as everybody reaches it."""
    found = await _transport(service, base_url)
    try:
        asked = time.time()
        metadata = await http.get(f"{base_url}/metadata")
        told = await http.get(f"{base_url}/.well-known/smart-configuration")
        statement, configuration = metadata.json(), told.json()
        release, token_url = statement["software"]["version"], configuration["token_endpoint"]
    except HttpError as error:
        to_do = f"See that {service} runs, and that STEPWELL_{service.upper()}_URL leads to it from here."
        return [*found, Finding(service, "answers", State.WRONG, f"no answer: {type(error).__name__}", to_do)]
    except (ValueError, KeyError, TypeError):
        to_do = "STEPWELL_" + service.upper() + "_URL leads to something else: it should end in /fhir."
        return [*found, Finding(service, "answers", State.WRONG, f"{metadata.status_code}, and no FHIR service", to_do)]
    found.append(_release(service, release))
    if "date" in metadata.headers:
        date = parsedate_to_datetime(metadata.headers["date"]).timestamp()
        # The header has whole seconds: what lies between the two looks is no difference.
        ahead = min(0.0, date + 1 - asked) or max(0.0, date - time.time())
        found.append(findings.of_clock(service, ahead))
    if issuer_url is not None and token_url != f"{issuer_url.rstrip('/')}/token":
        text = f"it sends clients to {token_url} for tokens"
        to_do = "Give all services and this terminal one STEPWELL_ISSUER_URL."
        found.append(Finding(service, "issuer", State.WRONG, text, to_do))
    return found


def _release(service: str, release: str) -> Finding:
    if release != VERSION:
        told = f"{release} runs there, {VERSION} here"
        return Finding(service, "answers", State.LOOK, told, "Use the command of the release that runs.")
    return Finding(service, "answers", State.GOOD, f"release {release}")


async def _transport(service: str, base_url: str) -> list[Finding]:
    parts = urlsplit(base_url)
    if parts.scheme == "https":
        return [await certificate(service, parts.hostname or "", parts.port or 443)]
    if parts.hostname in LOOPBACK:
        return []
    told = f"{base_url} is not https: answers of people are read by who is on the way"
    return [Finding(service, "TLS", State.WRONG, told, "End TLS in front of the service, and name it by https.")]


async def certificate(place: str, host: str, port: int) -> Finding:
    """Whether the certificate at this address is believed here, and how long it is good."""
    try:
        async with asyncio.timeout(SECONDS_MAX):
            _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or "no TLS"
        to_do = "Send the whole chain, for this name; SSL_CERT_FILE names authorities of your own."
        return Finding(place, "TLS", State.WRONG, f"the certificate is not believed: {reason}", to_do)
    except OSError as error:
        return Finding(place, "TLS", State.OPEN, f"no answer: {type(error).__name__}", "See that the address is right.")
    shown = writer.get_extra_info("peercert")
    writer.close()
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
    return findings.of_certificate(place, ends, datetime.now(UTC))


async def tokens(
    http: HttpClient, issuer_url: str, client_id: str, key_file: Path, urls: Mapping[str, str]
) -> list[Finding]:
    """Whether a client gets a token, and every service takes it."""
    try:
        key = load_private_key(key_file)
        token = (await request_token(http, issuer_url, client_id, key, now=time.time())).text
    except KeyFileError as error:
        to_do = "Name a client whose key is here: --client TENANT.NAME --key-file FILE."
        return [Finding("issuer", "tokens", State.OPEN, str(error), to_do)]
    except TokenRequestError as error:
        to_do = f"See that the issuer runs, and that {client_id} is registered (stepwell client list TENANT)."
        return [Finding("issuer", "tokens", State.WRONG, str(error), to_do)]
    found = [Finding("issuer", "tokens", State.GOOD, f"{client_id} gets one")]
    for service, url in urls.items():
        try:
            answer = await http.get(f"{url}/Subscription?_count=1", headers={"Authorization": f"Bearer {token}"})
        except HttpError:
            continue  # said already: it does not answer
        if answer.status_code == 401:
            to_do = f"Give {service} the STEPWELL_ISSUER_URL of the others, and see its clock."
            found.append(Finding(service, "tokens", State.WRONG, "it refuses a token that was just issued", to_do))
        else:
            found.append(Finding(service, "tokens", State.GOOD, "taken"))
    return found


async def external_issuers(http: HttpClient, file: Path | None) -> list[Finding]:
    """The issuers of others whose tokens are taken: whether they are reached from here."""
    try:
        return [await _external(http, each) for each in read_external_issuers(file)]
    except IssuersFileError as error:
        return [Finding("issuers", "file", State.WRONG, str(error), "Mend the file that STEPWELL_ISSUERS_FILE names.")]


async def _external(http: HttpClient, issuer: ExternalIssuer) -> Finding:
    place = f"issuer {issuer.name}"
    to_do = "See the address and the way out; without it no new token of this issuer is taken."
    try:
        if issuer.introspection is not None:
            answer = await http.post(issuer.introspection.url, data={"token": "none"})
            good = answer.status_code < 500
        else:
            answer = await http.get(issuer.jwks_url or "")
            good = answer.status_code == 200 and bool(answer.json().get("keys"))
    except (HttpError, ValueError, AttributeError) as error:
        return Finding(place, "reachable", State.WRONG, f"no answer that helps: {type(error).__name__}", to_do)
    if not good:
        return Finding(place, "reachable", State.WRONG, f"it answers {answer.status_code} without keys", to_do)
    return Finding(place, "reachable", State.GOOD, "answers")
