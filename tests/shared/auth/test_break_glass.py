"""Breaking the glass: who may, for whom, for how long, and that nobody does it unseen."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from stepwell_shared.auth.audit_chain import verify as verify_chain
from stepwell_shared.auth.break_glass import EMERGENCY_SCOPES, REASONS
from stepwell_shared.auth.clients import Client, register_client
from stepwell_shared.auth.external_claims import external_caller
from stepwell_shared.auth.external_issuers import ExternalIssuer
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.auth.roles import BREAK_GLASS_ROLE, ROLES
from stepwell_shared.auth.verification import caller_of
from stepwell_shared.database.pool import Database
from stepwell_shared.fhir.outcome import Category, FhirError

from tests.shared.auth.parties import NOW, TOKEN_URL, assertion_claims, signed, token_form

EMERGENCY = {"purpose_of_use": "BTG", "purpose_of_use_reason": "ETREAT", "patient": "p1"}


async def client(issuer: Issuer, key: ECKey, name: str, *roles: str, person: str | None = "Organization/er") -> str:
    granted = ROLES["outside-organisation"]
    made = Client(f"north.{name}", granted, jwks=public_key_set([key]), roles=roles, fhir_user=person)
    await register_client(issuer.database, made, datetime.fromtimestamp(NOW, UTC))
    return made.client_id


@pytest.fixture
async def hospital(issuer: Issuer, issuer_key: ECKey) -> str:
    return await client(issuer, issuer_key, "er", "outside-organisation", BREAK_GLASS_ROLE)


async def asked(
    http: httpx.AsyncClient, key: ECKey, client_id: str, jti: str = "1", scope: str = "", **form: str
) -> httpx.Response:
    assertion = signed(assertion_claims(client_id, jti=jti), key)
    return await http.post(TOKEN_URL, data=token_form(assertion, scope, **form))


async def claims(http: httpx.AsyncClient, key: ECKey, client_id: str, **form: str) -> dict[str, Any]:
    answer = await asked(http, key, client_id, **form)
    assert answer.status_code == 200, answer.text
    return dict(jwt.decode(answer.json()["access_token"], key, algorithms=["ES384"]).claims)


async def entries(database: Database) -> list[tuple[object, ...]]:
    columns = "interaction, resource_type, resource_id, client_id, fhir_user, status, split_part(token_id, '.', 2)"
    async with database.transaction("north") as connection:
        statement = f"SELECT {columns} FROM audit WHERE interaction = '$break-glass' ORDER BY id"
        return [tuple(row) for row in await connection.fetch(statement)]


def test_the_emergency_reads_and_does_nothing_else() -> None:
    assert {(scope.context, scope.letters) for scope in EMERGENCY_SCOPES} == {("patient", "rs")}
    assert not list(ROLES[BREAK_GLASS_ROLE])


async def test_only_who_may_and_says_who_acts_breaks_the_glass(
    issuer: Issuer, http: httpx.AsyncClient, issuer_key: ECKey, database: Database
) -> None:
    others = [
        await client(issuer, issuer_key, "plain", "outside-organisation"),
        await client(issuer, issuer_key, "nobody", BREAK_GLASS_ROLE, person=None),
    ]
    for client_id in others:
        refused = await asked(http, issuer_key, client_id, **EMERGENCY)
        assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")
    assert await entries(database) == []


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"purpose_of_use": "TREAT"}, "invalid_request"),
        ({"purpose_of_use_reason": ""}, "invalid_request"),
        ({"purpose_of_use_reason": "CURIOUS"}, "invalid_request"),
        ({"patient": ""}, "invalid_request"),
        ({"patient": "p1,p2"}, "invalid_request"),
        ({"patient": "p1&_id=p2"}, "invalid_request"),
        ({"scope": "patient/Patient.cruds"}, "invalid_scope"),
        ({"scope": "system/Patient.rs"}, "invalid_scope"),
        ({"scope": "patient/Communication.rs"}, "invalid_scope"),
    ],
    ids=str,
)
async def test_without_a_coded_reason_and_one_patient_there_is_no_token(
    http: httpx.AsyncClient, issuer_key: ECKey, hospital: str, database: Database, changed: dict[str, str], error: str
) -> None:
    refused = await asked(http, issuer_key, hospital, **{**EMERGENCY, **changed})
    assert (refused.status_code, refused.json()["error"]) == (400, error)
    assert await entries(database) == []


async def test_the_token_is_for_one_patient_for_five_minutes_and_reads_alone(
    http: httpx.AsyncClient, issuer_key: ECKey, hospital: str
) -> None:
    plain = caller_of(await claims(http, issuer_key, hospital, jti="plain"))
    assert (plain.breaks_glass, plain.patient, plain.actor) == (False, None, "Organization/er")
    given = await claims(http, issuer_key, hospital, **EMERGENCY)
    assert given["exp"] - given["iat"] == 300
    caller = caller_of(given)
    assert (caller.breaks_glass, caller.actor, caller.roles) == (True, None, (BREAK_GLASS_ROLE,))
    assert caller.filters("Observation", "search-type") == ("patient=p1",)
    assert caller.filters("Patient", "read") == ("_id=p1",)
    for resource_type, interaction in (("Observation", "create"), ("Task", "update"), ("Patient", "$export")):
        with pytest.raises(FhirError) as refused:
            caller.require_unrestricted(resource_type, interaction)
        assert refused.value.category is Category.FORBIDDEN
    narrowed = caller_of(await claims(http, issuer_key, hospital, jti="2", scope="patient/Flag.rs", **EMERGENCY))
    assert not narrowed.permits("Observation", "read")


async def test_it_is_on_record_before_the_token_is_out(
    http: httpx.AsyncClient, issuer_key: ECKey, hospital: str, database: Database
) -> None:
    for number, reason in enumerate(REASONS):
        await claims(http, issuer_key, hospital, **{**EMERGENCY, "jti": str(number), "purpose_of_use_reason": reason})
    assert await entries(database) == [
        ("$break-glass", "Patient", "p1", hospital, "Organization/er", 200, reason) for reason in REASONS
    ]
    assert not (await verify_chain(database, "north", [])).faults


async def test_without_a_record_there_is_no_token(
    http: httpx.AsyncClient, issuer_key: ECKey, hospital: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **_named: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("stepwell_shared.auth.token_record._record", away)
    refused = await asked(http, issuer_key, hospital, **EMERGENCY)
    assert (refused.status_code, "access_token" in refused.json()) == (503, False)


def test_no_token_of_another_issuer_breaks_the_glass() -> None:
    url = "https://other.example"
    setting = ExternalIssuer(name="other", issuer=url, jwks_url=f"{url}/jwks", tenant="north")
    said = {"purpose_of_use": "BTG", "patient": "p1", "jti": "btg.ETREAT.1", "client_id": "c", "scope": "patient/*.rs"}
    caller = external_caller(setting, said, "")
    assert (caller.breaks_glass, caller.token_id) == (False, "other:btg.ETREAT.1")
