"""Asks for CDS Hooks cards as a record system does when a chart is opened, with a token that it signs itself.

python cards.py ISSUER KEY_FILE CDS_SERVICES_URL PATIENT_ID
"""

import sys
import uuid

import httpx
from stepwell_client import read_key, signed


def cards(issuer: str, key_file: str, base_url: str, patient_id: str) -> list[dict[str, object]]:
    """The cards on a person."""
    address = f"{base_url}/care-step"
    call = {
        "hook": "patient-view",
        "hookInstance": str(uuid.uuid4()),
        "context": {"userId": "Practitioner/example", "patientId": patient_id},
        "prefetch": {"patient": {"resourceType": "Patient", "id": patient_id}},
    }
    headers = {"Authorization": f"Bearer {signed(read_key(key_file), issuer, address)}"}
    answer = httpx.post(address, json=call, headers=headers, timeout=10.0)
    answer.raise_for_status()
    found: list[dict[str, object]] = answer.json()["cards"]
    return found


if __name__ == "__main__":
    for card in cards(*sys.argv[1:]):
        print(card["indicator"], "-", card["summary"])
