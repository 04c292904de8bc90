"""Clients that submit until they are answered: they try again, with the same keys, whatever becomes of the answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import orjson
from stepwell_shared.auth.keys import KeyFileError
from stepwell_shared.auth.service_tokens import TokenRequestError
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.client import SuiteClient, filled
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import HttpError, HttpResponse, http_client

from tests.chaos.ledger import Ledger, Submission
from tests.chaos.stage import CLIENT

SYSTEM = "urn:ietf:rfc:3986"
ATTEMPT_SECONDS_MAX = 6.0
RETRY_SECONDS = 0.25
RETRY_SECONDS_MAX = 1.0
SENT_AGAIN_EVERY = 10
"""Every so many acknowledged submissions, one is sent once more: it must be answered with the same ids."""
FORMS = (("phq-9", (2, 2, 2, 2, 2, 2, 2, 2, 0)), ("gad-7", (2, 2, 2, 2, 2, 2, 0)))
"""Answers that name a tier and hold no safety item."""
PASSING = frozenset({429, 502, 503, 504})

Resource = dict[str, Any]
Created = tuple[str, str]
"""The ids of a patient and of a response."""


@dataclass
class Submitter:
    """Submits, in one of three ways by number: keys, conditional creates, or one transaction under a key."""

    client: SuiteClient
    ledger: Ledger
    questionnaires: list[Resource] = field(default_factory=list)
    _token: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def prepare(self) -> None:
        """Fetches the questionnaires."""
        for name, _ in FORMS:
            url = f"{CANONICAL}/Questionnaire/{name}"
            answer = await self.until_answered("prepare", "GET", "Questionnaire", None, {}, {"url": url})
            self.questionnaires.append(answer.json()["entry"][0]["resource"])

    async def submit(self, number: int) -> None:
        """Returns when the submission is acknowledged."""
        submission = self.ledger.submission(number)
        ids = await self._send(submission)
        submission.patient_id, submission.response_id = ids
        if number % SENT_AGAIN_EVERY == 0 and await self._send(submission) != ids:
            self.ledger.wrong["another answer to the same submission"].append(submission.identifier)

    async def _send(self, submission: Submission) -> Created:
        way = submission.number % 3
        if way == 2:
            return await self._transact(submission)
        person = self._person(submission)
        patient_id = await self._create(submission, person, keyed=way == 0)
        return patient_id, await self._create(submission, self._response(submission, patient_id), keyed=way == 0)

    async def _create(self, submission: Submission, resource: Resource, *, keyed: bool) -> str:
        type_ = resource["resourceType"]
        if keyed:
            headers = {"Idempotency-Key": f"{type_}-{submission.number}"}
        else:
            headers = {"If-None-Exist": f"identifier={SYSTEM}|{submission.identifier}"}
        answer = await self.until_answered(submission.identifier, "POST", type_, resource, headers)
        return str(answer.json()["id"])

    async def _transact(self, submission: Submission) -> Created:
        person = f"urn:uuid:00000000-0000-4000-8000-{submission.number:012}"
        response = self._response(submission, person)
        entries = [
            {"fullUrl": person, "resource": self._person(submission), "request": {"method": "POST", "url": "Patient"}},
            {"resource": response, "request": {"method": "POST", "url": "QuestionnaireResponse"}},
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        key = {"Idempotency-Key": f"Bundle-{submission.number}"}
        answer = await self.until_answered(submission.identifier, "POST", "", bundle, key)
        first, second = (each["response"]["location"].split("/")[-3] for each in answer.json()["entry"])
        return first, second

    def _person(self, submission: Submission) -> Resource:
        identifier = {"system": SYSTEM, "value": submission.identifier}
        return {"resourceType": "Patient", "identifier": [identifier], "name": [{"family": submission.family}]}

    def _response(self, submission: Submission, patient: str) -> Resource:
        which = submission.number % len(FORMS)
        reference = patient if patient.startswith("urn:") else f"Patient/{patient}"
        authored = datetime(2026, 11, 21, 9, tzinfo=UTC)  # the same body whenever it is sent again
        return filled(
            self.questionnaires[which],
            FORMS[which][1],
            patient=reference,
            authored=authored,
            identifier=submission.identifier,
        )

    async def until_answered(
        self,
        identifier: str,
        method: str,
        path: str,
        resource: Resource | None,
        headers: dict[str, str],
        parameters: dict[str, str] | None = None,
    ) -> HttpResponse:
        """The first 2xx. What is neither that nor something that passes is written down, and tried again."""
        body = None if resource is None else orjson.dumps(resource)
        for tries in count():
            answer = await self._attempt(method, path, body, headers, parameters)
            if answer is not None and answer.is_success:
                return answer
            if answer is not None and answer.status_code not in PASSING:
                self.ledger.wrong[f"{path or 'Bundle'} answered {_said(answer)}"].append(identifier)
            elif answer is not None and "retry-after" not in answer.headers:
                self.ledger.wrong[f"{answer.status_code} without Retry-After"].append(identifier)
            await asyncio.sleep(min(RETRY_SECONDS * 2**tries, RETRY_SECONDS_MAX))
        raise AssertionError("it is tried for ever")

    async def _attempt(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        parameters: dict[str, str] | None,
    ) -> HttpResponse | None:
        try:
            async with self._token:  # one asks, the others use what came
                await self.client.token()
            answer = await self.client.call(
                method, "screening", path, resource=body, parameters=parameters, headers=headers
            )
        except (HttpError, OSError, TokenRequestError, KeyFileError, SetupError):
            self.ledger.answers["none"] += 1
            return None
        self.ledger.answers[str(answer.status_code)] += 1
        return answer


def _said(answer: HttpResponse) -> str:
    """The status and the outcome, shortened; the made-up people of a run have no secrets."""
    return f"{answer.status_code} {answer.text[:300]}"


@asynccontextmanager
async def submitting(deployment: LocalDeployment, ledger: Ledger) -> AsyncIterator[Submitter]:
    """A submitter that is ready."""
    async with http_client(timeout_seconds=ATTEMPT_SECONDS_MAX) as http:
        submitter = Submitter(SuiteClient(deployment, http, CLIENT), ledger)
        await submitter.prepare()
        yield submitter
