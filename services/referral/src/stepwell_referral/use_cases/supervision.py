"""Supervision of staff is an Appointment like others, in one room or from afar: once it took place, what asks for it
counts again."""

from typing import Any

import orjson
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_referral.use_cases.appointments import change_appointment
from stepwell_referral.use_cases.catalogue import change_directory
from stepwell_referral.use_cases.staff import is_supervision

Resource = dict[str, Any]


async def write_appointment(runtime: Runtime, write: Write) -> None:
    """A change of an Appointment, whatever it is for; every replica hears of supervision. Raises FhirError."""
    await change_appointment(runtime, write)
    before: Resource = orjson.loads(write.previous.body) if write.previous and write.previous.body else {}
    if is_supervision(write.resource or {}) or is_supervision(before):
        await change_directory(runtime, write)
