"""`$evaluate-measure` and `$evaluate`: who may ask what, and MeasureReports that say it in FHIR."""

from datetime import date
from typing import Any

import httpx
from stepwell_measurement.data.measures import measures
from stepwell_measurement.use_cases.dashboards import make_board
from stepwell_shared.canonical import extension_url
from stepwell_shared.runtime import Runtime

from tests.services.measurement.test_evaluating import COURSES, course, put
from tests.support.corpus import Emitted
from tests.support.runtime import NORTH, SOUTH, token

Resource = dict[str, Any]

EHR, ANALYST = token(NORTH, "ehr"), token(NORTH, "analyst")
PERIOD = {"periodStart": "2026-01-01", "periodEnd": "2026-12-31"}


async def asked(http: httpx.AsyncClient, path: str, who: dict[str, str] = EHR, **given: Any) -> httpx.Response:
    return await http.get(f"/Measure/{path}", params={**PERIOD, **given}, headers=who)


def counts(populated: Resource) -> dict[str, int | None]:
    """The counts of a group or stratum by population; None where one is masked."""
    return {each["code"]["coding"][0]["code"]: each.get("count") for each in populated["population"]}


REFUSED: list[tuple[str, dict[str, Any], int]] = [
    ("nothing/$evaluate-measure", {}, 404),
    ("$evaluate-measure", {}, 400),
    ("$evaluate", {}, 400),
    ("recovery/$evaluate-measure", {"periodEnd": "never"}, 400),
    ("recovery/$evaluate-measure", {"periodEnd": "2025-01-01"}, 400),
    ("recovery/$evaluate-measure", {"practitioner": "Practitioner/p"}, 400),
    ("recovery/$evaluate-measure", {"reportType": "gossip"}, 400),
    ("recovery/$evaluate-measure", {"stratifier": "name"}, 400),
    ("recovery/$evaluate-measure", {"only": "tier"}, 400),
    ("recovery/$evaluate-measure", {"subject": "Patient/0"}, 400),
    ("recovery/$evaluate-measure", {"subject": "Patient/0", "reportType": "subject"}, 403),
    ("recovery/$evaluate-measure", {"reportType": "subject-list"}, 403),
    ("recovery/$evaluate-measure", {"tally": "true"}, 403),
    ("nothing/$pool", {}, 404),
    ("recovery/$pool", {"stratifier": "sex"}, 400),
    ("recovery/$pool", {}, 422),
]


async def test_what_cannot_be_asked_is_refused(http: httpx.AsyncClient) -> None:
    for path, given, status in REFUSED:
        who = ANALYST if status == 403 else EHR
        assert (await asked(http, path, who, **given)).status_code == status, (path, given)


async def test_a_token_of_one_person_gets_no_figures_about_others(http: httpx.AsyncClient) -> None:
    patient = token(NORTH, "patient", "Patient/0")
    for kind in ("summary", "subject", "subject-list"):
        assert (await asked(http, "recovery/$evaluate-measure", patient, reportType=kind)).status_code == 403


PUBLISHED: list[tuple[str, dict[str, Any]]] = [
    ("recovery", {}),
    ("recovery", {"stratifier": "sex"}),
    ("recovery", {"only": "practice|x"}),
    ("recovery", {"by": "quarter", "stratifier": "practice"}),
    ("waits", {"by": "month", "periodStart": "2025-03-01"}),
]
NOT_PUBLISHED: list[tuple[str, dict[str, Any]]] = [
    ("recovery", {"stratifier": ["sex", "age"]}),
    ("recovery", {"stratifier": "sex", "by": "month"}),
    ("recovery", {"stratifier": "sex", "only": "practice|x"}),
    ("recovery", {"only": ["sex|male", "practice|x"]}),
    ("recovery", {"by": "year"}),
    ("recovery", {"periodEnd": "2026-09-30"}),
    ("recovery", {"by": "month", "periodEnd": "2026-09-30"}),
    ("recovery", {"by": "month", "periodStart": "2026-09-02"}),
]


async def test_who_may_not_see_persons_gets_what_the_pages_publish_and_nothing_beside_it(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    year = {"periodStart": "2025-11-01", "periodEnd": "2026-10-31"}
    assert (await asked(http, "recovery/$evaluate-measure", ANALYST, **year)).status_code == 422
    men = [{**each, "sex": "male"} for each in COURSES]
    await put(runtime, "care_course", *COURSES, *men, *[{**COURSES[0], "sex": "other"}] * 3)
    begun = [{"asked_on": date(2026, 2, 1), "begun_on": date(2026, 2, 9)}] * 9
    await put(runtime, "care_referral", *begun, {"asked_on": date(2026, 2, 1)})
    await make_board(runtime, NORTH)
    for name, given in NOT_PUBLISHED:
        refused = await asked(http, f"{name}/$evaluate-measure", ANALYST, **{**year, **given})
        assert refused.status_code == 403, given
        assert "2025-11-01 to 2026-10-31" in refused.json()["issue"][0]["diagnostics"]
        assert (await asked(http, f"{name}/$evaluate-measure", EHR, **{**year, **given})).status_code == 200, given
    shown: list[int] = []
    for name, given in PUBLISHED:
        answered = await asked(http, f"{name}/$evaluate-measure", ANALYST, **{**year, **given})
        assert answered.status_code == 200, answered.text
        said = [each for group in answered.json()["group"] for each in numbers_in(group)]
        shown += [each for each in said if each]
        assert not [each for each in said if each is not None and 0 < each < 5], given
    assert len(shown) > 10
    other = (await asked(http, "recovery/$evaluate-measure", ANALYST, **year, only="sex|nobody")).json()
    assert counts(other["group"][0])["denominator"] == 0


def numbers_in(group: Resource) -> list[int | None]:
    """All counts of a group and of its strata."""
    strata = [stratum for each in group.get("stratifier", ()) for stratum in each["stratum"]]
    return [count for each in (group, *strata) for count in counts(each).values()]


async def test_a_report_has_populations_a_score_with_its_interval_and_how_complete_it_is(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await put(runtime, "care_course", *COURSES)
    await put(runtime, "care_course", *COURSES, tenant=SOUTH)
    report = (await asked(http, "recovery/$evaluate-measure")).json()
    assert (report["resourceType"], report["type"], report["status"]) == ("MeasureReport", "summary", "complete")
    assert report["measure"] == "https://stepwell.health/fhir/Measure/recovery|1.0.0"
    (group,) = report["group"]
    assert counts(group) == {
        "initial-population": 35, "denominator": 35, "denominator-exclusion": 10, "numerator": 12,
    }  # fmt: skip
    score = group["measureScore"]
    assert score["value"] == 0.48
    (interval,) = score["extension"]
    assert (interval["valueRange"]["low"]["value"], interval["valueRange"]["high"]["value"]) == (0.3003, 0.665)
    parts = {each["url"]: each["valueDecimal"] for each in group["extension"][0]["extension"]}
    assert group["extension"][0]["url"] == extension_url("follow-up")
    assert (parts["completeness"], parts["lowest"], parts["highest"]) == (0.7143, 0.3429, 0.6286)


async def test_strata_are_told_together_and_small_counts_are_masked_with_what_would_give_them_away(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    few = [{**each, "sex": "other", "age": "80+"} for each in COURSES[10:16]]
    men = [{**each, "sex": "male", "age": "18-24"} for each in COURSES]
    women = [{**each, "sex": "female", "age": "18-24"} for each in COURSES]
    await put(runtime, "care_course", *few, *men, *women)
    report = (await asked(http, "recovery/$evaluate-measure", stratifier=["sex", "age"])).json()
    (stratifier,) = report["group"][0]["stratifier"]
    assert [each["text"] for each in stratifier["code"]] == ["sex", "age"]
    found = {
        tuple(each["value"]["text"] for each in stratum["component"]): stratum for stratum in stratifier["stratum"]
    }
    assert set(found) == {("female", "18-24"), ("male", "18-24"), ("other", "80+")}
    small = found["other", "80+"]
    assert counts(small)["numerator"] is None
    assert small["measureScore"]["extension"][0]["valueCode"] == "masked"
    others = [counts(found[sex, "18-24"])["numerator"] for sex in ("female", "male")]
    assert None in [*others, counts(report["group"][0])["numerator"]]


async def test_waits_have_a_group_for_each_figure_and_a_series_has_limits_of_chance(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    begun = [
        {"asked_on": date(2026, month, 1), "begun_on": date(2026, month, 8 + place % 3)}
        for month in range(1, 7)
        for place in range(20)
    ]
    await put(runtime, "care_referral", *begun, *[{"asked_on": date(2026, 11, 1)}] * 10)
    report = (await asked(http, "waits/$evaluate-measure")).json()
    groups = {each["code"]["coding"][0]["code"]: each for each in report["group"]}
    assert list(groups) == ["wait-p50", "wait-p75", "wait-p90", "within-42-days", "within-126-days"]
    assert groups["wait-p50"]["measureScore"] == {"value": 8, "system": "http://unitsofmeasure.org", "code": "d"}
    assert counts(groups["wait-p50"]) == {
        "initial-population": 130, "measure-population": 130, "begun": 120, "waiting": 10, "left": 0,
    }  # fmt: skip
    series = (await asked(http, "access/$evaluate-measure", by="month")).json()["group"][0]["stratifier"][0]
    assert [each["value"]["text"] for each in series["stratum"]][-2:] == ["2026-06", "2026-11"]
    limits = [each for each in series["stratum"][-1]["extension"] if each["url"] == extension_url("control-limits")]
    assert {"url": "signal", "valueCode": "outside-limits"} in limits[0]["extension"]


async def test_persons_are_named_to_whoever_may_read_them_all(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await put(runtime, "care_course", *COURSES[:2], course(recovery=False, reliable_recovery=False))
    await put(runtime, "care_course", *COURSES, tenant=SOUTH)
    listed = (await asked(http, "recovery/$evaluate-measure", EHR, reportType="subject-list")).json()
    people = {each["id"]: [entry["item"]["reference"] for entry in each["entry"]] for each in listed["contained"]}
    assert people["numerator"] == ["Patient/0", "Patient/1"]
    assert people["denominator"] == ["Patient/0", "Patient/1", "Patient/2"]
    one = (await asked(http, "recovery/$evaluate-measure", EHR, reportType="subject", subject="Patient/2")).json()
    assert (one["type"], one["subject"]) == ("individual", {"reference": "Patient/2"})
    assert counts(one["group"][0])["numerator"] == 0


async def test_a_post_and_the_names_of_deqm_ask_the_same(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await put(runtime, "care_course", *COURSES)
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "periodStart", "valueDate": "2026-01-01"},
            {"name": "periodEnd", "valueDate": "2026-12-31"},
            {"name": "measureUrl", "valueUri": "https://stepwell.health/fhir/Measure/recovery"},
            {"name": "measureId", "valueString": "follow-up"},
            {"name": "reportType", "valueCode": "summary"},
        ],
    }
    answer = await http.post("/Measure/$evaluate", json=body, headers=EHR)
    reports = [each["resource"]["entry"][0]["resource"] for each in answer.json()["parameter"]]
    assert [each["measure"].rpartition("/")[2] for each in reports] == ["recovery|1.0.0", "follow-up|1.0.0"]
    again = (await asked(http, "$evaluate-measure", measure="Measure/recovery")).json()
    assert again["group"] == reports[0]["group"]


async def test_every_measure_that_ships_is_there_and_can_be_evaluated(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Emitted
) -> None:
    found = (await http.get("/Measure", params={"_count": "100"}, headers=ANALYST)).json()
    assert {each["resource"]["id"] for each in found["entry"]} == set(measures())
    for entry in found["entry"]:
        measure = entry["resource"]
        assert measure["purpose"]
        assert measure["relatedArtifact"][0]["citation"]
        report = (await asked(http, f"{measure['id']}/$evaluate-measure")).json()
        named = [each["code"]["coding"][0]["code"] for each in report["group"]]
        assert named == [each["code"]["coding"][0]["code"] for each in measure["group"]]
        score = report["group"][0]["measureScore"]
        assert score["extension"][0]["valueCode"] == "not-applicable"
        emitted(measure)
    await put(runtime, "care_course", *COURSES, *[{**COURSES[0], "sex": "other"}] * 3)
    for given in (
        {"stratifier": ["sex", "age"], "by": "month"},
        {"reportType": "subject-list"},
        {"reportType": "subject", "subject": "Patient/2"},
        {"tally": "true"},
    ):
        emitted((await asked(http, "recovery/$evaluate-measure", EHR, **given)).json())
    await put(runtime, "care_referral", *[{"asked_on": date(2026, 2, 1), "begun_on": date(2026, 3, 1)}] * 9)
    emitted((await asked(http, "waits/$evaluate-measure")).json())
    emitted((await asked(http, "$evaluate", measureId=["waits", "recovery"])).json())


async def test_people_who_were_left_out_are_a_group_to_go_to(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Emitted
) -> None:
    await put(runtime, "care_person", *[{"practice": "east"}] * 6, {"practice": "west"}, {"active": False})
    await put(runtime, "care_referral", {"person": "Patient/5", "asked_on": date(2026, 11, 1)})
    async with runtime.database.transaction(NORTH) as connection:
        await connection.execute("UPDATE care_person SET attended = '{2026-05-02}' WHERE person = 'Patient/4'")
        await connection.executemany(
            "INSERT INTO trajectory (tenant, person, code, number, recorded, series, measures, case_now)"
            " VALUES ($1, $2, '44261-6', 1, now(), '[]', 1, $3)",
            [(NORTH, f"Patient/{place}", place != 3) for place in range(8)],
        )
    asking = {**PERIOD, "only": "practice|east"}
    assert (await http.post("/Measure/reach/$outreach", params=asking, headers=ANALYST)).status_code == 403
    for wrong in ({"only": "name|x"}, {"by": "month"}, {"periodEnd": ""}):
        refused = await http.post("/Measure/reach/$outreach", params={**PERIOD, **wrong}, headers=EHR)
        assert refused.status_code == 400
    for path, only in (("recovery", "sex|x"), ("reach", "sex|unknown")):
        refused = await http.post(f"/Measure/{path}/$outreach", params={**PERIOD, "only": only}, headers=EHR)
        assert refused.status_code == 422
    made = await http.post("/Measure/reach/$outreach", params=asking, headers=EHR)
    assert made.status_code == 201
    group = (await http.get(f"/Group/{made.json()['id']}", headers=EHR)).json()
    emitted(group)
    people = [each["entity"]["reference"] for each in group["member"]]
    assert (people, group["quantity"]) == (["Patient/0", "Patient/1", "Patient/2"], 3)
    assert group["characteristic"][0]["valueCodeableConcept"] == {"text": "east"}


async def test_a_hubs_figures_equal_those_of_all_its_practices_together(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    hub, hub_analyst = token(SOUTH, "ehr"), token(SOUTH, "analyst")
    practices = ("east", "west", "far")
    courses = [{**each, "practice": practices[place % 3]} for place, each in enumerate(COURSES)]
    said = [{**course(satisfaction=3.0 + place % 7, cost=12.5 * place), "practice": "far"} for place in range(8)]
    waits = [
        {
            "asked_on": date(2026, 2, 1),
            "begun_on": date(2026, 3, 1 + place % 9) if place % 4 else None,
            "practice": name,
        }
        for place in range(12)
        for name in practices
    ]
    await put(runtime, "care_course", *courses, *said)
    await put(runtime, "care_referral", *waits)
    for name in ("recovery", "waits", "satisfaction", "cost-per-reliable-improvement", "utilisation"):
        for practice in practices:
            for _ in range(2):  # of two reports of one practice the newer counts
                given = {"tally": "true", "only": f"practice|{practice}"}
                sent = (await asked(http, f"{name}/$evaluate-measure", EHR, **given)).json()
                assert sent["reporter"]["identifier"]["value"] == practice
                assert "Patient" not in str(sent)
                stored = await http.post("/MeasureReport", json=sent, headers=hub)
                assert stored.status_code == 201
        pooled = (await asked(http, f"{name}/$pool", hub_analyst)).json()
        together = (await asked(http, f"{name}/$evaluate-measure")).json()
        assert pooled["group"] == together["group"]
    by_practice = (await asked(http, "waits/$pool", hub_analyst, stratifier="reporter")).json()
    (stratifier,) = by_practice["group"][0]["stratifier"]
    assert [each["value"]["text"] for each in stratifier["stratum"]] == ["east", "far", "west"]
