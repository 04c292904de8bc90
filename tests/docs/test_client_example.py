"""`examples/python/stepwell_client.py`: what it does when a line breaks, a token ends or something is refused."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from stepwell_shared.auth.keys import make_private_key

from examples.python.stepwell_client import BackendServices, RefusedError, Stepwell, events_of, subscription

BASE = "https://stepwell.example/screening/fhir"
TOKEN_URL = "https://stepwell.example/screening/auth/token"


class Peer:
    """Answers FHIR requests in turn, and gives tokens `token-1`, `token-2`; remembers what came."""

    def __init__(self, key: ECKey, *answers: httpx.Response | httpx.TransportError) -> None:
        self._key = key
        self._answers: Iterator[httpx.Response | httpx.TransportError] = iter(answers)
        self.tokens = 0
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("smart-configuration"):
            return httpx.Response(200, json={"token_endpoint": TOKEN_URL})
        if str(request.url) == TOKEN_URL:
            form = dict(httpx.QueryParams(request.content.decode()))
            claims = jwt.decode(form["client_assertion"], self._key, algorithms=["ES384"]).claims
            assert (claims["iss"], claims["sub"], claims["aud"]) == ("north.ehr", "north.ehr", TOKEN_URL)
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"token-{self.tokens}", "expires_in": 300})
        self.requests.append(
            httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        )
        answer = next(self._answers)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer

    def header(self, name: str) -> list[str]:
        return [request.headers[name] for request in self.requests]


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it would have waited each time."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def client(folder: Path, *answers: httpx.Response | httpx.TransportError) -> tuple[Stepwell, Peer]:
    peer = Peer(make_private_key(folder / "ehr.jwk"), *answers)
    auth = BackendServices(BASE, "north.ehr", folder / "ehr.jwk")
    return Stepwell(BASE, auth, transport=httpx.MockTransport(peer)), peer


def test_a_refusal_names_each_problem_and_is_not_sent_again(tmp_path: Path) -> None:
    issue = {"severity": "error", "code": "value", "diagnostics": "not a gender", "expression": ["Patient.gender"]}
    refused = httpx.Response(422, json={"resourceType": "OperationOutcome", "issue": [issue]})
    stepwell, peer = client(tmp_path, refused)
    with pytest.raises(RefusedError, match=r"422 Patient.gender: not a gender"):
        stepwell.create({"resourceType": "Patient", "gender": "f"})
    assert len(peer.requests) == 1


def test_what_got_no_answer_is_sent_again_under_the_same_key(tmp_path: Path, pauses: list[float]) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "7"})
    stepwell, peer = client(tmp_path, httpx.ReadError("gone"), busy, httpx.Response(201, json={"id": "1"}))
    assert stepwell.create({"resourceType": "Patient"}) == {"id": "1"}
    assert len(set(peer.header("Idempotency-Key"))) == 1
    assert pauses == [0.5, 7.0]


def test_two_requests_never_share_a_key(tmp_path: Path) -> None:
    stepwell, peer = client(tmp_path, httpx.Response(201, json={}), httpx.Response(201, json={}))
    stepwell.create({"resourceType": "Patient"})
    stepwell.create({"resourceType": "Patient"})
    assert len(set(peer.header("Idempotency-Key"))) == 2


def test_a_line_that_stays_away_is_said_when_patience_ends(tmp_path: Path) -> None:
    stepwell, _ = client(tmp_path, httpx.ConnectError("nobody there"))
    stepwell.patience_seconds = -1
    with pytest.raises(httpx.ConnectError):
        stepwell.read("Patient/1")


def test_a_token_that_is_not_taken_any_more_is_replaced_once(tmp_path: Path) -> None:
    stepwell, peer = client(tmp_path, httpx.Response(401), httpx.Response(200, json={"id": "1"}))
    assert stepwell.read("Patient/1") == {"id": "1"}
    assert peer.header("Authorization") == ["Bearer token-1", "Bearer token-2"]


def test_a_token_is_kept_until_a_minute_before_its_end(tmp_path: Path) -> None:
    stepwell, peer = client(tmp_path, *[httpx.Response(200, json={})] * 3)
    for _ in range(3):
        stepwell.read("Patient/1")
    assert peer.tokens == 1


def test_a_search_follows_its_pages_and_leaves_out_what_was_not_asked_for(tmp_path: Path) -> None:
    def page(ids: str, *links: dict[str, str]) -> httpx.Response:
        entries = [{"resource": {"id": each}, "search": {"mode": "match"}} for each in ids]
        outcome = {"resource": {"id": "note"}, "search": {"mode": "outcome"}}
        return httpx.Response(200, json={"link": list(links), "entry": [*entries, outcome]})

    stepwell, peer = client(tmp_path, page("ab", {"relation": "next", "url": f"{BASE}?page=2"}), page("c"))
    found = [each["id"] for each in stepwell.search("Task", patient="1", care__team="2")]
    assert found == ["a", "b", "c"]
    assert str(peer.requests[0].url) == f"{BASE}/Task?patient=1&care-team=2"
    assert str(peer.requests[1].url) == f"{BASE}?page=2"


def test_an_update_names_the_version_that_was_read_and_an_operation_its_parameters(tmp_path: Path) -> None:
    stepwell, peer = client(tmp_path, httpx.Response(200, json={}), httpx.Response(200, json={}))
    stepwell.update({"resourceType": "Patient", "id": "1", "meta": {"versionId": "3"}})
    stepwell.operate("ServiceRequest/1/$override", reason={"valueCode": "x"})
    assert peer.requests[0].headers["If-Match"] == 'W/"3"'
    sent = json.loads(peer.requests[1].content)
    assert sent == {"resourceType": "Parameters", "parameter": [{"name": "reason", "valueCode": "x"}]}


def test_a_notification_is_read_by_number_and_a_handshake_has_none() -> None:
    event = {
        "name": "notification-event",
        "part": [
            {"name": "event-number", "valueString": "12"},
            {"name": "focus", "valueReference": {"reference": f"{BASE}/Task/1"}},
        ],
    }
    kind = {"name": "type", "valueCode": "event-notification"}
    status = {"resource": {"resourceType": "Parameters", "parameter": [kind, event]}}
    task = {"fullUrl": f"{BASE}/Task/1", "resource": {"resourceType": "Task", "id": "1"}}
    said, (found,) = events_of({"entry": [status, task]})
    assert (said, found.number, found.resources[found.focus]["id"]) == ("event-notification", 12, "1")
    handshake = {"resource": {"parameter": [{"name": "type", "valueCode": "handshake"}]}}
    assert events_of({"entry": [handshake]}) == ("handshake", [])


def test_a_subscription_carries_its_secret_in_the_header_alone() -> None:
    made = subscription("tier-assigned", "https://ehr.example/hook", "secret", "ServiceRequest?patient=1")
    assert made["channel"].pop("header") == ["Authorization: Bearer secret"]
    assert "secret" not in json.dumps(made)
    assert made["_criteria"]["extension"][0]["valueString"] == "ServiceRequest?patient=1"
