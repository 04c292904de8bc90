"""The form pages in headless Chromium: filled in in two languages, by keyboard, at the width of a phone, held to WCAG
by axe in every state, and scored as the API scores the same answers.

`python -m tests.external browser` runs it; BROWSER_PICTURES names a folder for a picture of each state.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.browser.playing import play, ready
from tests.support.suite import Clinic, Suite, running_suite

LANGUAGES = ("en", "de")
# A score that no two of these questions could give by chance, with a safety item that is positive.
WEIGHTS = (1, 2, 3, 0, 1, 2, 0, 1, 1)
DIFFICULTY = 2
BORN = "1980-03-05"
PHQ_9 = "phq-9-1.0.0"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """Somebody who is asked to fill in a form, and the links that they get."""

    id: str
    links: Sequence[str]


def run() -> bool:
    """Prints what was looked at and what was wrong; whether nothing was. Runs inside `postgres.test_run()`."""
    ready()
    with tempfile.TemporaryDirectory() as folder, running_suite(Path(folder), ("screening", "measurement")) as suite:
        return asyncio.run(_look(suite, Path(folder)))


async def _look(suite: Suite, folder: Path) -> bool:
    async with suite.clinic() as clinic:
        people = {language: await _person(clinic, 2) for language in LANGUAGES}
        plan = {
            "born": dict(zip(("year", "month", "day"), BORN.split("-"), strict=True)),
            "weights": [*WEIGHTS, DIFFICULTY],
            "links": {language: person.links for language, person in people.items()},
            "keyboard": (await _person(clinic, 1)).links[0],
            "without_scripts": (await _person(clinic, 1)).links[0],
            "expired": await _expired(clinic),
            "other": await _other_forms(clinic),
            "unknown": f"{suite.deployment.url_of('screening').removesuffix('/fhir')}/forms/open/north.x.y",
        }
        findings = await asyncio.to_thread(play, "forms", plan, folder)
        findings += [each for language in LANGUAGES for each in await _scores(clinic, people[language], language)]
    for finding in findings:
        print(f"error\t{finding}")
    return not findings


async def _person(clinic: Clinic, links: int) -> Person:
    patient = await clinic.create("screening", {"resourceType": "Patient", "birthDate": BORN})
    return Person(str(patient["id"]), [await _link(clinic, PHQ_9, str(patient["id"])) for _ in range(links)])


async def _link(clinic: Clinic, questionnaire: str, patient: str, expires: datetime | None = None) -> str:
    parameters: list[Resource] = [{"name": "subject", "valueReference": {"reference": f"Patient/{patient}"}}]
    if expires is not None:
        parameters.append({"name": "expires", "valueInstant": expires.isoformat(timespec="milliseconds")})
    body: Resource = {"resourceType": "Parameters", "parameter": parameters}
    answer = await clinic.call("POST", "screening", f"Questionnaire/{questionnaire}/$form-link", resource=body)
    if answer.status_code != 200:
        raise SystemExit(f"screening answered {answer.status_code}: {answer.text}")
    return str(next(each["valueUrl"] for each in answer.json()["parameter"] if each["name"] == "link"))


async def _expired(clinic: Clinic) -> str:
    """A link that was good for a moment."""
    patient = await clinic.create("screening", {"resourceType": "Patient", "birthDate": BORN})
    soon = datetime.now(UTC) + timedelta(seconds=1)
    link = await _link(clinic, PHQ_9, str(patient["id"]), soon)
    await asyncio.sleep((soon - datetime.now(UTC)).total_seconds() + 0.1)
    return link


async def _other_forms(clinic: Clinic) -> list[str]:
    """A link to each other form that people can fill in, so that every kind of question is looked at."""
    patient = await clinic.create("screening", {"resourceType": "Patient", "birthDate": BORN})
    found = await clinic.search("screening", "Questionnaire", status="active", _count="100")
    links = []
    for each in found:
        is_adaptive = any(part["url"].endswith("questionnaireAdaptive") for part in each.get("extension", ()))
        if each["id"] != PHQ_9 and not is_adaptive:
            links.append(await _link(clinic, each["id"], str(patient["id"])))
    return links


async def _scores(clinic: Clinic, person: Person, language: str) -> list[str]:
    """Whether what was filled in has the score that the API gives to the same answers."""
    patient = await clinic.patient()
    sent = await clinic.submit(await clinic.form("phq-9", WEIGHTS, patient))
    if sent.status_code != 201:
        return [f"screening answered {sent.status_code} to the same answers"]
    by_api, by_page = [await _score(clinic, id_) for id_ in (str(patient["id"]), person.id)]
    print(f"  the form in {language}: {by_page}, the API: {by_api}")
    kept = await clinic.search("screening", "QuestionnaireResponse", subject=f"Patient/{person.id}", status="completed")
    wrong = [] if by_page == by_api == sum(WEIGHTS) else [f"{language}: the form scores {by_page}, the API {by_api}"]
    if [each.get("language") for each in kept] != [language]:
        wrong.append(f"{language}: one completed response in this language was expected, not {len(kept)}")
    alerts = await clinic.search("screening", "Task", subject=f"Patient/{person.id}", code="safety-review")
    return wrong if alerts else [*wrong, f"{language}: no safety review was opened"]


async def _score(clinic: Clinic, patient: str) -> float:
    def is_total(observation: Resource) -> bool:
        return any(coding["code"] == "44261-6" for coding in observation["code"]["coding"])

    (found, *_) = await clinic.wait_for("measurement", "Observation", is_total, patient=patient)
    value: float = found["valueQuantity"]["value"]
    return value
