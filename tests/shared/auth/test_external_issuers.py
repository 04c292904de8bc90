"""Tokens of other issuers: the settings of docs/sign-in.md are taken as they stand, and nothing beyond them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey
from pydantic import ValidationError
from starlette.responses import JSONResponse, RedirectResponse, Response
from stepwell_shared.auth.external_claims import check_external_claims, external_caller
from stepwell_shared.auth.external_issuers import ExternalIssuer, IssuersFileError, read_external_issuers
from stepwell_shared.auth.introspection_client import REFUSED_SECONDS
from stepwell_shared.auth.issuer_keys import RETRY_SECONDS, IssuerKeys
from stepwell_shared.auth.keys import FOREIGN_ALGORITHMS
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.auth.signatures import SignatureRefusedError
from stepwell_shared.auth.trust import TrustedIssuer
from stepwell_shared.auth.verification import TokenVerifier
from stepwell_shared.database.pool import Database
from stepwell_shared.fhir.outcome import Category, FhirError

from tests.shared.auth.issuers import ForeignIssuer, foreign_issuer
from tests.shared.auth.parties import ISSUER, NOW, ROUTING, Clock

PAGE = Path("docs/sign-in.md").read_text(encoding="utf-8")
TENANT_ID = "1f0c2a55-0000-4000-8000-000000000001"
LIFE = {"iat": int(NOW), "nbf": int(NOW), "exp": int(NOW) + 3600}
RSA = RSAKey.generate_key(2048, auto_kid=True)

KEYCLOAK = {
    **LIFE, "iss": "https://login.example.org/realms/care", "aud": ["stepwell", "account"], "typ": "Bearer",
    "azp": "desk", "sub": "f:1:anna", "jti": "k-1", "scope": "openid profile user/Patient.rs user/Task.rs system/*.rs",
    "tenant": "north-clinic", "realm_access": {"roles": ["offline_access", "care-clinician"]},
    "fhirUser": "https://ehr.example.org/Practitioner/anna",
}  # fmt: skip
ENTRA = {
    **LIFE, "iss": f"https://login.microsoftonline.com/{TENANT_ID}/v2.0", "ver": "2.0", "tid": TENANT_ID,
    "aud": "6c3a8e10-0000-4000-8000-000000000002", "azp": "0b1e", "azpacr": "1", "uti": "u-1", "sub": "s", "oid": "o",
    "scp": "Observations.Read", "extn.fhirUser": ["Practitioner/ben"],
}  # fmt: skip
EPIC = {
    "active": True, "client_id": "chart-app", "sub": "eM5", "exp": int(NOW) + 3600, "patient": "eq0.81-B3",
    "scope": "launch openid fhirUser patient/Patient.rs patient/Observation.rs patient/Condition.rs",
}  # fmt: skip


def settings_of(name: str) -> dict[str, Any]:
    """An entry of the page."""
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    entries: list[dict[str, Any]] = [json.loads(block)["issuers"][0] for block in blocks]
    return next(each for each in entries if each["name"] == name)


def here(name: str, foreign: ForeignIssuer, secret: Path | None = None) -> ExternalIssuer:
    """The same issuer, answering at the address of the test."""
    entry = {**settings_of(name), "network": "private"}
    if "introspection" in entry:
        entry["introspection"] |= {"url": f"{foreign.url}/introspect", "secret_file": str(secret), "seconds_max": 10}
    else:
        entry["jwks_url"] = f"{foreign.url}/jwks"
    return ExternalIssuer.model_validate(entry)


@pytest.fixture
async def foreign() -> AsyncIterator[ForeignIssuer]:
    async with foreign_issuer() as issuer:
        issuer.keys = [RSA]
        yield issuer


@pytest.fixture
async def outside() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


def verifier_of(setting: ExternalIssuer, outside: httpx.AsyncClient, clock: Clock, database: Database) -> TokenVerifier:
    ours = IssuerKeys(database, outside, ISSUER, local=list, clock=clock)
    trusted = [TrustedIssuer(setting, database, outside, ROUTING, clock)]
    return TokenVerifier(ours, issuer_url=ISSUER, audience=ROUTING, clock=clock, trusted=trusted)


@pytest.fixture
async def keycloak(
    foreign: ForeignIssuer, outside: httpx.AsyncClient, clock: Clock, database: Database
) -> AsyncIterator[TokenVerifier]:
    verifier = verifier_of(here("keycloak", foreign), outside, clock, database)
    yield verifier
    await verifier.close()


@pytest.fixture
async def epic(
    foreign: ForeignIssuer, outside: httpx.AsyncClient, clock: Clock, tmp_path: Path
) -> AsyncIterator[TokenVerifier]:
    secret = tmp_path / "secret"
    secret.write_text("between: us\n")
    foreign.tokens["opaque.1"] = EPIC
    no_database: Any = None  # introspection keeps nothing there
    verifier = verifier_of(here("epic", foreign, secret), outside, clock, no_database)
    yield verifier
    await verifier.close()


async def refusal(verifier: TokenVerifier, token: str) -> FhirError:
    with pytest.raises(FhirError) as refused:
        await verifier.authenticate(f"Bearer {token}")
    return refused.value


@pytest.mark.parametrize(
    "changed",
    [
        {"tenant": "north"},
        {"jwks_url": None},
        {"introspection": {"url": "https://a", "client_id": "c", "secret_file": "s"}},
        {"tenants": {}},
        {"tenants": {"x": "No Tenant"}},
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"roles": {"x": "service"}},
        {"roles": {"x": "partner"}},
        {"scopes": {"x": "role:service"}},
        {"scopes": {"x": "everything"}},
        {"opaque": True},
        {"any_audience": True},
        {"name": "a:b"},
        {"audience": ["misspelt"]},
    ],
    ids=str,
)
def test_a_setting_that_is_not_whole_stops_the_start(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExternalIssuer.model_validate({**settings_of("keycloak"), **changed})


@pytest.mark.parametrize("content", ["", "[]", '{"issuers": [{}]}', '{"issuers": [%s, %s]}'], ids=str)
def test_a_file_of_issuers_that_cannot_be_used_says_why(tmp_path: Path, content: str) -> None:
    path = tmp_path / "issuers.json"
    path.write_text(content.replace("%s", json.dumps(settings_of("entra"))))
    with pytest.raises(IssuersFileError, match=str(path)):
        read_external_issuers(path)
    with pytest.raises(IssuersFileError, match="cannot be read"):
        read_external_issuers(tmp_path / "nowhere")


def test_shared_secrets_and_unsigned_tokens_are_no_algorithms_of_anybody() -> None:
    assert not [name for name in FOREIGN_ALGORITHMS if name.startswith("HS") or name == "none"]


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "account"},
        {"aud": None},
        {"exp": int(NOW) - 61},
        {"exp": None},
        {"nbf": int(NOW) + 120},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"tenant": "another-clinic"},
        {"tenant": None},
        {"tenant": ["north-clinic", {"x": 1}, "north"], "typ": "ID"},
        {"patient": "p1&_id=p2"},
        {"patient": ["p1", "p2"]},
        {"azp": None, "sub": None},
    ],
    ids=str,
)
def test_a_token_of_another_issuer_that_says_something_else_is_refused(changed: Mapping[str, Any]) -> None:
    claims = {name: value for name, value in {**KEYCLOAK, **changed}.items() if value is not None}
    setting = ExternalIssuer.model_validate(settings_of("keycloak"))
    check_external_claims(setting, KEYCLOAK, ROUTING, NOW)

    def taken() -> None:
        check_external_claims(setting, claims, ROUTING, NOW)
        external_caller(setting, claims, "")

    with pytest.raises(SignatureRefusedError):
        taken()


async def test_forged_tokens_of_another_issuer_are_refused_and_no_address_in_them_is_called(
    keycloak: TokenVerifier, foreign: ForeignIssuer
) -> None:
    good = foreign.token(KEYCLOAK)
    stolen = {"jku": f"{foreign.url}/elsewhere", "x5u": f"{foreign.url}/elsewhere"}
    forger = ForeignIssuer(keys=[RSAKey.generate_key(2048, {"kid": str(RSA.kid)})])
    weak = ForeignIssuer(keys=[ECKey.generate_key("P-256", {"kid": str(RSA.kid)})])
    for token in (
        good[:-8] + "AAAAAAAA",
        foreign.token(KEYCLOAK, "RS512"),
        foreign.token(KEYCLOAK, typ="logout+jwt"),
        forger.token(KEYCLOAK, **stolen),
        forger.token(KEYCLOAK, kid="unknown"),
        weak.token(KEYCLOAK, "ES256"),
    ):
        assert (await refusal(keycloak, token)).category is Category.UNAUTHENTICATED
    assert foreign.fetched == 1


async def test_keys_are_fetched_again_for_a_new_one_and_not_for_every_unknown_one(
    keycloak: TokenVerifier, foreign: ForeignIssuer, clock: Clock
) -> None:
    await keycloak.authenticate(f"Bearer {foreign.token(KEYCLOAK)}")
    for number in range(20):
        await refusal(keycloak, ForeignIssuer(keys=[RSA]).token(KEYCLOAK, kid=f"unknown-{number}"))
    assert foreign.fetched == 1
    clock.now += RETRY_SECONDS
    foreign.keys = [RSAKey.generate_key(2048, auto_kid=True)]
    await keycloak.authenticate(f"Bearer {foreign.token(KEYCLOAK)}")
    assert foreign.fetched == 2


async def test_a_keycloak_token_opens_its_tenant_within_what_the_setting_allows(
    keycloak: TokenVerifier, foreign: ForeignIssuer
) -> None:
    caller = await keycloak.authenticate(f"Bearer {foreign.token(KEYCLOAK)}")
    assert (caller.tenant, caller.client_id, caller.token_id) == ("north", "keycloak:desk", "keycloak:k-1")
    assert (caller.roles, caller.fhir_user) == (("clinician",), "https://ehr.example.org/Practitioner/anna")
    assert str(caller.scopes) == "user/Patient.rs user/Task.rs"


async def test_an_entra_token_opens_what_its_words_stand_for(
    foreign: ForeignIssuer, outside: httpx.AsyncClient, clock: Clock, database: Database
) -> None:
    verifier = verifier_of(here("entra", foreign), outside, clock, database)
    person = await verifier.authenticate(f"Bearer {foreign.token(ENTRA)}")
    assert (person.tenant, person.client_id, person.token_id) == ("north", "entra:0b1e", "entra:u-1")
    assert str(person.scopes) == "user/Observation.rs user/Patient.rs"
    application = {**ENTRA, "uti": "u-2", "roles": ["Stepwell.Reader", "Unknown"]}
    del application["scp"], application["extn.fhirUser"]
    system = await verifier.authenticate(f"Bearer {foreign.token(application)}")
    assert str(system.scopes) == "system/Observation.rs system/Patient.rs"
    nobody = await verifier.authenticate(f"Bearer {foreign.token({**ENTRA, 'uti': 'u-3', 'extn.fhirUser': []})}")
    assert not list(nobody.scopes)
    await verifier.close()


async def test_an_opaque_token_is_asked_about_and_its_launch_context_binds_it(
    epic: TokenVerifier, foreign: ForeignIssuer
) -> None:
    caller = await epic.authenticate("Bearer opaque.1")
    assert (caller.tenant, caller.client_id, caller.patient) == ("north", "epic:chart-app", "eq0.81-B3")
    assert str(caller.scopes) == "patient/Patient.rs patient/Observation.rs"
    assert caller.filters("Observation", "search-type") == ("patient=eq0.81-B3",)
    [asked] = foreign.asked
    assert asked == {
        "token": "opaque.1",
        "token_type_hint": "access_token",
        # The secret is form-encoded before it is joined to the name, as RFC 6749 section 2.3.1 has it.
        "authorization": "Basic c3RlcHdlbGw6YmV0d2VlbiUzQSUyMHVz",
    }


async def test_a_good_answer_is_kept_for_seconds_and_never_beyond_the_tokens_end(
    epic: TokenVerifier, foreign: ForeignIssuer, clock: Clock
) -> None:
    foreign.tokens["short"] = {**EPIC, "exp": int(NOW) + 10}
    for token, seconds in (("opaque.1", 30), ("short", 10)):
        clock.now, foreign.asked = NOW, []
        await epic.authenticate(f"Bearer {token}")
        clock.now += seconds - 1
        await epic.authenticate(f"Bearer {token}")
        assert len(foreign.asked) == 1
        clock.now += 1
        await epic.authenticate(f"Bearer {token}")
        assert len(foreign.asked) == 2
    foreign.tokens.clear()
    clock.now = NOW + 60
    assert (await refusal(epic, "opaque.1")).category is Category.UNAUTHENTICATED


async def test_a_bad_answer_is_kept_for_seconds_so_that_a_flood_asks_once(
    epic: TokenVerifier, foreign: ForeignIssuer, clock: Clock
) -> None:
    refused = await asyncio.gather(*(refusal(epic, "unknown") for _ in range(20)))
    assert {each.category for each in refused} == {Category.UNAUTHENTICATED}
    await refusal(epic, "unknown")
    assert len(foreign.asked) == 1
    clock.now += REFUSED_SECONDS
    foreign.tokens["unknown"] = EPIC
    assert (await epic.authenticate("Bearer unknown")).tenant == "north"


async def test_an_issuer_that_gives_no_answer_makes_503_and_not_401(
    epic: TokenVerifier, foreign: ForeignIssuer
) -> None:
    answers = (
        Response("no JSON"),
        JSONResponse({"active": "yes"}),
        JSONResponse([True]),
        JSONResponse({"active": True}, status_code=500),
        JSONResponse({"error": "invalid_client"}, status_code=401),
        RedirectResponse("http://127.0.0.1:9/"),
        Response(b" " * 70_000 + b"{}"),
    )
    for foreign.answer in answers:
        error = await refusal(epic, "opaque.1")
        assert (error.category, error.headers) == (Category.UNAVAILABLE, {"Retry-After": "2"})
    foreign.answer = None
    assert (await epic.authenticate("Bearer opaque.1")).tenant == "north"


async def test_a_silent_issuer_makes_503_when_its_time_is_over(
    foreign: ForeignIssuer, outside: httpx.AsyncClient, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("s")
    setting = here("epic", foreign, tmp_path / "secret")
    assert setting.introspection is not None
    quick = setting.introspection.model_copy(update={"seconds_max": 0.05})
    foreign.silent = asyncio.Event()
    no_database: Any = None
    verifier = verifier_of(setting.model_copy(update={"introspection": quick}), outside, clock, no_database)
    assert (await refusal(verifier, "opaque.1")).category is Category.UNAVAILABLE
    await verifier.close()


async def test_an_address_within_our_own_network_is_not_called_unless_the_setting_says_so(
    foreign: ForeignIssuer, outside: httpx.AsyncClient, clock: Clock, tmp_path: Path, database: Database
) -> None:
    (tmp_path / "secret").write_text("s")
    for name, token in (("epic", "opaque.1"), ("keycloak", foreign.token(KEYCLOAK))):
        guarded = here(name, foreign, tmp_path / "secret").model_copy(update={"network": "public"})
        verifier = verifier_of(guarded, outside, clock, database)
        assert (await refusal(verifier, token)).category is Category.UNAVAILABLE
        await verifier.close()
    assert (foreign.asked, foreign.fetched) == ([], 0)


async def test_a_token_that_names_somebody_else_is_shown_to_nobody(epic: TokenVerifier, foreign: ForeignIssuer) -> None:
    elsewhere = foreign.token({**KEYCLOAK, "iss": "https://elsewhere.example"})
    assert (await refusal(epic, elsewhere)).category is Category.UNAUTHENTICATED
    assert (await refusal(epic, foreign.token({"sub": "x"}))).category is Category.UNAUTHENTICATED
    assert foreign.asked == []


async def test_without_a_readable_secret_nobody_is_asked_and_nobody_refused(
    epic: TokenVerifier, foreign: ForeignIssuer, tmp_path: Path
) -> None:
    (tmp_path / "secret").unlink()
    assert (await refusal(epic, "opaque.1")).category is Category.UNAVAILABLE
    assert foreign.asked == []


def test_no_word_of_a_token_makes_it_one_of_ours() -> None:
    setting = ExternalIssuer.model_validate({**settings_of("keycloak"), "at_most": None})
    words = {
        "realm_access": {"roles": ["service", "partner"]},
        "azp": "north.service-routing",
        "scope": "role:clinician",
    }
    caller = external_caller(setting, {**KEYCLOAK, **words}, "")
    assert (caller.roles, caller.client_id, caller.scopes) == ((), "keycloak:north.service-routing", Scopes())
    with pytest.raises(SignatureRefusedError):
        external_caller(setting, {**KEYCLOAK, "tenant": ["north-clinic", "x"], "patient": "../p"}, "")
