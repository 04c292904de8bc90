"""The trace of one main job as a collector sees it: one tree across the four services, with nobody named in it."""

from collections.abc import Sequence
from secrets import token_hex

from stepwell_shared.settings import SERVICES

from tests.support.collector import Seen
from tests.support.suite import Suite

PHQ_9_OF_16 = (2, 2, 2, 2, 2, 2, 2, 2, 0)
ROOT = "create QuestionnaireResponse"
# What happens where, and what caused it.
WAY = (
    ("screening", "publish score-finalized", ROOT),
    ("routing", "process score-finalized", "publish score-finalized"),
    ("measurement", "process score-finalized", "publish score-finalized"),
    ("routing", "decide", "process score-finalized"),
    ("routing", "publish tier-assigned", "process score-finalized"),
    ("referral", "process tier-assigned", "publish tier-assigned"),
)


async def test_one_main_job_is_one_tree_across_four_services(suite: Suite) -> None:
    trace_id, caller = token_hex(16), token_hex(8)
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        form = await clinic.form("phq-9", PHQ_9_OF_16, patient)
        answer = await clinic.call(
            "POST",
            "screening",
            "QuestionnaireResponse",
            resource=form,
            headers={"traceparent": f"00-{trace_id}-{caller}-01"},
        )
        assert answer.status_code == 201
        (task,) = await clinic.wait_for("referral", "Task", subject=f"Patient/{patient['id']}")
    spans = suite.collector.wait_for(trace_id, lambda found: not missing(found) and len(roots(found)) == 1)
    assert missing(spans) == []
    assert {each.service for each in spans} == set(SERVICES)
    (root,) = roots(spans)
    by_id = {each.span_id: each for each in spans}
    assert (root.name, root.service, root.parent_id) == (ROOT, "screening", caller)
    assert all(parent.started_ns <= each.started_ns for each in spans if (parent := by_id.get(each.parent_id)))
    assert [each.name for each in spans if each.is_error] == []
    said = " ".join(f"{each.name} {each.attributes}" for each in spans)
    assert not [each for each in (patient["id"], answer.json()["id"], task["id"], "Example") if each in said]


async def test_a_trace_goes_on_after_the_process_that_began_it_was_killed(suite: Suite) -> None:
    trace_id, caller = token_hex(16), token_hex(8)
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        form = await clinic.form("phq-9", PHQ_9_OF_16, patient)
        suite.processes.kill("routing")
        try:
            headers = {"traceparent": f"00-{trace_id}-{caller}-01"}
            answer = await clinic.call("POST", "screening", "QuestionnaireResponse", resource=form, headers=headers)
            assert answer.status_code == 201
            (root,) = suite.collector.wait_for(trace_id, lambda found: ROOT in names_of(found), 30)[:1]
            suite.processes.kill("screening")
            suite.processes.start_one("screening")
        finally:
            suite.processes.start_one("routing")
        suite.processes.wait_until_ready("screening", "routing")
        await clinic.wait_for("referral", "Task", subject=f"Patient/{patient['id']}", seconds=90)
    spans = suite.collector.wait_for(trace_id, lambda found: not missing(found))
    assert missing(spans) == []
    assert root.parent_id == caller


async def test_what_nobody_samples_leaves_no_span_and_its_number_in_the_log_of_what_goes_wrong(suite: Suite) -> None:
    trace_id = token_hex(16)
    async with suite.clinic() as clinic:
        refused = await clinic.call(
            "GET",
            "routing",
            "ServiceRequest?nothing=known",
            headers={"traceparent": f"00-{trace_id}-{token_hex(8)}-00", "Prefer": "handling=strict"},
        )
    assert refused.status_code == 400
    assert trace_id in suite.processes.log_of("routing").read_text(encoding="utf-8")
    assert suite.collector.trace(trace_id) == []


async def test_nobody_whom_we_do_not_know_has_anything_recorded_as_one_of_our_services(suite: Suite) -> None:
    trace_id = token_hex(16)
    url = suite.deployment.url_of("routing").removesuffix("/fhir") + "/notifications"
    async with suite.clinic() as clinic:
        headers = {"traceparent": f"00-{trace_id}-{token_hex(8)}-01", "Authorization": "Bearer nobody"}
        answer = await clinic.http.request("POST", url, headers=headers, content=b"{}")
        assert answer.status_code == 401
        known = token_hex(16)
        await clinic.call("GET", "routing", "metadata", headers={"traceparent": f"00-{known}-{token_hex(8)}-01"})
    assert suite.collector.wait_for(known, bool)
    assert suite.collector.trace(trace_id) == []


def names_of(spans: Sequence[Seen]) -> set[str]:
    return {each.name for each in spans}


def roots(spans: Sequence[Seen]) -> list[Seen]:
    """Spans whose parent is not here."""
    here = {each.span_id for each in spans}
    return [each for each in spans if each.parent_id not in here]


def missing(spans: Sequence[Seen]) -> list[tuple[str, str, str]]:
    """Steps of the way that no span shows below the one that caused it."""
    by_id = {each.span_id: each for each in spans}

    def causes(span: Seen) -> list[str]:
        found: list[str] = []
        parent = by_id.get(span.parent_id)
        while parent is not None:
            found.append(parent.name)
            parent = by_id.get(parent.parent_id)
        return found

    return [
        step
        for step in WAY
        if not any((each.service, each.name) == step[:2] and step[2] in causes(each) for each in spans)
    ]
