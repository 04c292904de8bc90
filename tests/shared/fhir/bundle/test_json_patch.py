"""Row B6: a JSON Patch in a Bundle travels in a Binary. https://hl7.org/fhir/R4/http.html#patch"""

from base64 import b64encode
from typing import Any

import orjson
import pytest
from stepwell_shared.fhir.patch import JSON_PATCH

from tests.support.bundles import do_batch, entry, refused, statuses, transact
from tests.support.engine import Bench, Resource, json_of, patient

P = "urn:uuid:0f2e1c7a-1111-4444-8888-000000000001"
REPLACE = [{"op": "replace", "path": "/gender", "value": "female"}]


def binary(patch: Any, **members: Any) -> Resource:
    data = b64encode(orjson.dumps(patch)).decode()
    return {"resourceType": "Binary", "contentType": JSON_PATCH, "data": data, **members}


@pytest.mark.parametrize(
    "resource",
    [
        binary(REPLACE, contentType="application/json"),
        {"resourceType": "Binary", "contentType": JSON_PATCH},
        binary({"op": "replace"}),
        binary([{"op": "replace", "path": "/birthDate", "value": "1980-01-01"}]),
        binary([{"op": "replace", "path": "/gender", "value": "unknowable"}]),
        binary(REPLACE, data=b64encode(b"\xff{").decode()),
    ],
)
async def test_b6_a_patch_that_cannot_be_applied_is_refused(bench: Bench, resource: Resource) -> None:
    await bench.update(patient(id="a", gender="male"))
    assert (await refused(bench, entry("PATCH", "Patient/a", resource))).status in {400, 409, 422}
    (answered,) = await do_batch(bench, entry("PATCH", "Patient/a", resource))
    assert answered["response"]["status"][:3] in {"400", "409", "422"}
    assert json_of(await bench.read("Patient", "a"))["meta"]["versionId"] == "1"


async def test_b6_a_json_patch_is_applied_in_batches_and_transactions(bench: Bench) -> None:
    await bench.update(patient(id="a", gender="male"))
    assert statuses(await do_batch(bench, entry("PATCH", "Patient/a", binary(REPLACE)))) == ["200"]
    more = binary([{"op": "add", "path": "/birthDate", "value": "1980-01-01"}])
    (found,) = await transact(bench, entry("PATCH", "Patient/a", more, ifMatch='W/"2"'))
    assert (found["resource"]["gender"], found["resource"]["birthDate"]) == ("female", "1980-01-01")


async def test_b4_a_placeholder_in_a_patch_becomes_the_new_reference(bench: Bench) -> None:
    await bench.update(patient(id="a"))
    linked = binary([{"op": "add", "path": "/link", "value": [{"other": {"reference": P}, "type": "refer"}]}])
    found = await transact(
        bench, entry("PATCH", "Patient/a", linked), entry("POST", "Patient", patient(), fullUrl=P)
    )  # fmt: skip
    assert statuses(found) == ["200", "201"]
    assert found[0]["resource"]["link"][0]["other"] == {"reference": f"Patient/{found[1]['resource']['id']}"}
