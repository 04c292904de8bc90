"""Who is let in: nobody without a token of a registered client, for this very address, now, and once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from joserfc import jwt
from stepwell_routing.cds.services import CARE_STEP
from stepwell_shared.runtime import Runtime

from tests.services.routing.cds.ehr import BASE, ISSUER, KEY, Ehr, ehr_of, new_key, patient_view
from tests.services.routing.hearing import hear, scored
from tests.support.runtime import NORTH, SOUTH

AUDIT = "SELECT interaction, resource_type, resource_id, client_id, status FROM audit ORDER BY id"


async def refused(ehr: Ehr, token: str | None = None) -> str:
    """What a refused call says."""
    answer = await ehr.post(CARE_STEP, patient_view(), token)
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer")
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return str(outcome["issue"][0]["diagnostics"])


async def test_nobody_is_answered_without_a_token(ehr: Ehr) -> None:
    answer = await ehr.http.post(f"{BASE}/{CARE_STEP}", json=patient_view())
    assert answer.status_code == 401
    assert "cards" not in answer.json()


WRONG: list[tuple[Callable[[int], dict[str, object]], str]] = [
    (lambda now: {"aud": f"{BASE}/referral-step"}, "aud"),
    (lambda now: {"aud": BASE}, "aud"),
    (lambda now: {"aud": None}, "aud"),
    (lambda now: {"iat": now - 600, "exp": now - 300}, "expired"),
    (lambda now: {"exp": now + 3600}, "at most 300 seconds"),
    (lambda now: {"iat": now + 120, "exp": now + 200}, "not valid yet"),
    (lambda now: {"iat": None}, "iat and exp"),
    (lambda now: {"exp": None}, "iat and exp"),
    (lambda now: {"exp": "tomorrow"}, "exp"),
    (lambda now: {"jti": None}, "jti"),
    (lambda now: {"jti": "x" * 256}, "jti"),
    (lambda now: {"iss": "https://else.example"}, "iss"),
    (lambda now: {"iss": ["https://ehr.example/cds"]}, "iss"),
    (lambda now: {"tenant": "another-hospital"}, "iss"),
]


async def test_a_token_that_says_something_else_is_refused(ehr: Ehr) -> None:
    for change, reason in WRONG:
        now = int(ehr.runtime.clock().timestamp())
        assert reason in await refused(ehr.but(**change(now)))


async def test_a_token_signed_by_another_key_is_refused(ehr: Ehr) -> None:
    assert "no key" in await refused(replace(ehr, key=new_key()))
    forged = new_key()
    forged_as_ours = type(forged).import_key({**forged.as_dict(private=True), "kid": str(KEY.kid)})
    assert "signature" in await refused(replace(ehr, key=forged_as_ours))


async def test_unsigned_and_shared_secret_tokens_are_refused(ehr: Ehr) -> None:
    token = ehr.token(f"{BASE}/{CARE_STEP}")
    _, claims, signature = token.split(".")
    for header in ("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ"):
        assert "ES384" in await refused(ehr, f"{header}.{claims}.{signature}")


async def test_a_token_opens_once_on_whichever_replica(ehr: Ehr, replica: Runtime) -> None:
    token = ehr.token(f"{BASE}/{CARE_STEP}")
    assert (await ehr.post(CARE_STEP, patient_view(), token)).status_code == 200
    assert "used before" in await refused(ehr, token)
    async with ehr_of(replica) as elsewhere:
        assert "used before" in await refused(elsewhere, token)


async def test_a_key_address_that_is_not_registered_is_refused_and_never_called(ehr: Ehr) -> None:
    claims = {"iss": ISSUER, "aud": f"{BASE}/{CARE_STEP}", "iat": 0, "exp": 0, "jti": "1"}
    token = sign_with(claims, jku="https://attacker.example/keys")
    assert "jku" in await refused(ehr, token)


def sign_with(claims: dict[str, object], **header: str) -> str:
    """A token of our own key with a header of its own."""
    members: dict[str, Any] = {"alg": "ES384", "kid": KEY.kid, "typ": "JWT", **header}
    return jwt.encode(members, claims, KEY, algorithms=["ES384"])


async def test_the_tenant_is_that_of_the_registered_client_and_never_of_the_body(runtime: Runtime, ehr: Ehr) -> None:
    south = {"issuer": "https://south.example", "serves": SOUTH}
    async with ehr_of(runtime, **south) as other:
        body = {**patient_view(), "tenant": NORTH, "context": {**patient_view()["context"], "tenant": NORTH}}
        assert [each["source"]["topic"]["code"] for each in await other.cards(CARE_STEP, body)] == [
            "care-step-proposed"
        ]
        assert await ehr.cards(CARE_STEP, patient_view()) == []  # north has never heard of this person


async def test_one_issuer_acts_for_several_organisations_told_apart_by_its_claim(runtime: Runtime, ehr: Ehr) -> None:
    await hear(runtime, scored(16))
    async with ehr_of(runtime, organisation="south-hospital", serves=SOUTH) as south:
        in_north, in_south = await ehr.cards(CARE_STEP, patient_view()), await south.cards(CARE_STEP, patient_view())
    assert in_north[0]["summary"] != in_south[0]["summary"]


async def test_every_known_caller_leaves_an_audit_row_and_an_unknown_one_none(ehr: Ehr) -> None:
    await refused(ehr.but(iss="https://else.example"))
    await ehr.cards(CARE_STEP, patient_view())
    assert (await ehr.post(CARE_STEP, {"hook": "patient-view"})).status_code == 400
    async with ehr.runtime.database.transaction(NORTH) as connection:
        rows = [tuple(row) for row in await connection.fetch(AUDIT)]
    assert rows == [
        ("$cds-care-step", "Patient", "p1", ISSUER, 200),
        ("$cds-care-step", None, None, ISSUER, 400),
    ]
