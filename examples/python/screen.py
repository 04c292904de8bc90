"""One person's way through the four services: answers in, a score, a proposal with its reasons, and a place.

python screen.py CLIENT_ID KEY_FILE

The services are those of `make run`, or where STEPWELL_SCREENING_URL and so on say.
"""

import os
import sys
from datetime import UTC, datetime

from stepwell_client import BackendServices, Resource, Stepwell

PORTS = {"screening": 8001, "routing": 8002, "referral": 8003, "measurement": 8004}
PHQ_9 = "https://stepwell.health/fhir/Questionnaire/phq-9"
ANSWERS = (2, 2, 2, 2, 2, 2, 2, 2, 0)


def services(client_id: str, key_file: str) -> dict[str, Stepwell]:
    """The four services by name; one token source for all."""
    here = {name: f"http://127.0.0.1:{port}/{name}/fhir" for name, port in PORTS.items()}
    urls = {name: os.environ.get(f"STEPWELL_{name.upper()}_URL", url) for name, url in here.items()}
    auth = BackendServices(urls["screening"], client_id, key_file)
    return {name: Stepwell(url, auth) for name, url in urls.items()}


def answered(form: Resource, patient: Resource) -> Resource:
    """The form with an answer of ANSWERS for each question that has options with a weight."""
    questions = [item for item in form["item"] if any("extension" in each for each in item.get("answerOption", []))]
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{form['url']}|{form['version']}",
        "status": "completed",
        "subject": {"reference": f"Patient/{patient['id']}"},
        "authored": datetime.now(UTC).isoformat(timespec="seconds"),
        "item": [
            {"linkId": item["linkId"], "answer": [{"valueCoding": item["answerOption"][weight]["valueCoding"]}]}
            for item, weight in zip(questions, ANSWERS, strict=True)
        ],
    }


def main(client_id: str, key_file: str) -> None:
    """Prints what comes of it."""
    stepwell = services(client_id, key_file)
    person = {
        "resourceType": "Patient",
        "identifier": [{"system": "https://ehr.example/patients", "value": "4712"}],
        "name": [{"family": "Example"}],
    }
    patient = stepwell["screening"].create(person, unless="identifier=https://ehr.example/patients|4712")
    (form,) = stepwell["screening"].search("Questionnaire", url=PHQ_9)
    stepwell["screening"].create(answered(form, patient))
    subject = f"Patient/{patient['id']}"
    score = stepwell["measurement"].wait_for("Observation", subject=subject, code="http://loinc.org|44261-6")
    print(f"{score['code']['text']}: {score['valueQuantity']['value']}, {score['interpretation'][0]['text']}")
    proposal = stepwell["routing"].wait_for("ServiceRequest", subject=subject, status="active")
    tier, rule = proposal["category"][0]["coding"][0]["code"], proposal["reasonCode"][0]["coding"][0]["code"]
    print(f"{tier} by {rule}: {proposal['status']}, a {proposal['intent']}")
    task = stepwell["referral"].wait_for("Task", subject=subject, code="tier-referral")
    print(f"referral: {task['status']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
