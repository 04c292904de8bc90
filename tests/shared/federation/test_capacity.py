"""Promises of asking partners for capacity: the newest answer alone, in their turn, and nobody holds up another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from stepwell_shared.auth.keys import make_private_key
from stepwell_shared.events.topics import Topic
from stepwell_shared.federation.capacity import CapacityPolicy, PartnerCapacity
from stepwell_shared.federation.exchange import Exchange
from stepwell_shared.federation.partners import Partner, Partners
from stepwell_shared.federation.tokens import PartnerTokens

from tests.shared.federation.pairs import hub

POLICY = CapacityPolicy(every_seconds=900.0, retry_seconds=120.0)


class These(Partners):
    """These partners, without a database."""

    def __init__(self, *partners: Partner) -> None:
        self._these = partners

    async def all(self, tenant: str) -> Sequence[Partner]:
        return self._these


@dataclass
class Stage:
    """What partners answer, what was learnt of it, and a clock."""

    folder: Path
    answer: Callable[[httpx.Request], httpx.Response]
    learnt: list[tuple[str, Any]] = field(default_factory=list)
    now: float = 0.0

    def asking(self, *partners: Partner) -> PartnerCapacity:
        make_private_key(self.folder / "key.jwk")
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answered))
        nothing: Any = None
        topic = Topic("referral-changed", ("Task",), (), "")
        exchange = Exchange(
            *(topic, These(*partners), nothing, nothing, nothing, nothing), capacity="$capacity", learn=self._learn
        )

        async def tenants() -> Sequence[str]:
            return ["north"]

        tokens = PartnerTokens(http, self.folder / "key.jwk")
        return PartnerCapacity(http, exchange, tokens, tenants=tenants, policy=POLICY, clock=lambda: self.now)

    def _answered(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "t", "expires_in": 300})
        return self.answer(request)

    async def _learn(self, partner: Partner, told: dict[str, Any] | None) -> None:
        self.learnt.append((partner.name, told))
        if partner.name == "broken":
            raise KeyError("something that nobody has thought of")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503),
        httpx.Response(401, json={}),
        httpx.Response(200, content=b"<html>Please sign in to the network</html>"),
        httpx.Response(200, json={"resourceType": "OperationOutcome"}),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(200, content=b" " * 5_000_000),
    ],
    ids=["away", "token", "page", "outcome", "deep", "large"],
)
async def test_what_is_no_bundle_is_no_answer_and_is_asked_for_again_soon(
    tmp_path: Path, answer: httpx.Response
) -> None:
    stage = Stage(tmp_path, lambda request: answer)
    asking = stage.asking(hub())
    for moment, learnt in ((0.0, 1), (119.0, 1), (121.0, 2)):
        stage.now = moment
        await asking.ask()
        assert stage.learnt == [("hub", None)] * learnt


async def test_each_partner_that_we_refer_to_is_asked_in_its_turn_whatever_another_says(tmp_path: Path) -> None:
    bundle = {"resourceType": "Bundle", "entry": []}
    stage = Stage(tmp_path, lambda request: httpx.Response(200, json=bundle))
    only_theirs = replace(hub(name="theirs"), referred_to=False, refers_here=True)
    asking = stage.asking(hub(name="broken"), only_theirs, hub())
    for moment in (0.0, 899.0, 901.0):
        stage.now = moment
        await asking.ask()
    assert stage.learnt == [("broken", bundle), ("hub", bundle)] * 2
