"""What every PyPI client does at each of the four services, in the same order as journey.mjs has it for npm's."""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import requests

FIRST = 'W/"1"'

Json = dict[str, Any]
Plan = dict[str, Any]


class Session:
    """The calls that a client has; one that stays None is reported as absent."""

    metadata: Callable[[], Json] | None = None
    create: Callable[[Json], Json] | None = None
    read: Callable[[str, str], Json] | None = None
    vread: Callable[[str, str, str], Json] | None = None
    update: Callable[[Json, str], Json] | None = None
    create_if_none_exist: Callable[[Json, str], Json] | None = None
    patch: Callable[[str, str, list[Json]], Json] | None = None
    search: Callable[[str, Mapping[str, str]], Json] | None = None
    pages: Callable[[str, Mapping[str, str]], list[list[Json]]] | None = None
    history: Callable[[str, str], Json] | None = None
    transaction: Callable[[Json], Json] | None = None
    remove: Callable[[str, str], object] | None = None
    refusal: Callable[[Exception], tuple[int | None, Json | None]]
    """The status, where the client tells it, and the OperationOutcome of an exception."""


def run(open_session: Callable[[Plan], Any], defects: Mapping[str, str] | None = None) -> None:
    """Runs the steps of the plan whose file is named on the command line, one JSON line for each.

    `open_session(plan)` asks for a token; `defects` says by `step` or `step@service` what is the client's own fault.
    """
    for plan in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        sessions: list[Any] = []
        _step(plan, "token", {}, partial(_open, open_session, plan, sessions))
        # Where a client cannot create, it goes on with what is there.
        kept: Json = {"created": plan["existing"]}
        for name, (call, check) in STEPS.items() if sessions else ():
            if getattr(sessions[0], call) is None:
                _report(plan, name, "absent")
            else:
                _step(plan, name, defects or {}, partial(check, plan, sessions[0], kept))


def _open(open_session: Callable[[Plan], Any], plan: Plan, sessions: list[Any]) -> None:
    sessions.append(open_session(plan))


def _step(plan: Plan, name: str, defects: Mapping[str, str], check: Callable[[], object]) -> None:
    defect = defects.get(name) or defects.get(f"{name}@{plan['service']}")
    try:
        check()
    except Exception as error:  # noqa: BLE001 - whatever a client raises is the finding
        _report(plan, name, "defect" if defect else "failed", defect or _short(error))
    else:
        _report(plan, name, "failed" if defect else "passed", f"no defect any more: {defect}" if defect else None)


def _report(plan: Plan, name: str, verdict: str, detail: str | None = None) -> None:
    print(json.dumps({"service": plan["service"], "step": name, "verdict": verdict, "detail": detail}), flush=True)


def _short(error: Exception) -> str:
    """What was raised and where, in a line or two."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {str(error)[:500]} ({Path(last.filename).name}:{last.lineno} {last.line})"


def access_token(plan: Plan) -> str:
    """An access token by client_credentials, for clients that only take one."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": plan["assertion"],
    }
    answer = requests.post(plan["tokenUrl"], data=form, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def resources_of(bundle: Json) -> list[Json]:
    """The resources of a searchset."""
    return [entry["resource"] for entry in bundle.get("entry", [])]


def _metadata(plan: Plan, session: Any, kept: Json) -> None:
    statement = session.metadata()
    assert statement["resourceType"] == "CapabilityStatement"
    assert statement["fhirVersion"] == "4.0.1"
    assert plan["type"] in [each["type"] for each in statement["rest"][0]["resource"]]


def _create(plan: Plan, session: Any, kept: Json) -> None:
    kept["created"] = session.create(plan["resources"][0])
    assert kept["created"]["id"]
    assert kept["created"]["meta"]["versionId"] == "1"


def _read(plan: Plan, session: Any, kept: Json) -> None:
    assert session.read(plan["type"], kept["created"]["id"]) == kept["created"]


def _vread(plan: Plan, session: Any, kept: Json) -> None:
    assert session.vread(plan["type"], kept["created"]["id"], "1") == kept["created"]


def _update(plan: Plan, session: Any, kept: Json) -> None:
    kept["updated"] = session.update({**kept["created"], **plan["change"]}, FIRST)
    assert kept["updated"]["meta"]["versionId"] == "2"
    assert plan["change"].items() <= kept["updated"].items()


def _stale_update(plan: Plan, session: Any, kept: Json) -> None:
    _refused(session, 412, lambda: session.update({**kept["created"], **plan["change"]}, FIRST))


def _conditional_create(plan: Plan, session: Any, kept: Json) -> None:
    resource, criteria = plan["conditional"]["resource"], plan["conditional"]["criteria"]
    first = session.create_if_none_exist(resource, criteria)
    second = session.create_if_none_exist(resource, criteria)
    assert (second["id"], second["meta"]["versionId"]) == (first["id"], "1")
    assert first["id"] != kept["created"]["id"]


def _patch(plan: Plan, session: Any, kept: Json) -> None:
    patched = session.patch(plan["type"], kept["created"]["id"], plan["patch"]["operations"])
    assert patched["meta"]["versionId"] == "3"
    assert plan["patch"]["result"].items() <= patched.items()


def _search(plan: Plan, session: Any, kept: Json) -> None:
    for resource in plan["resources"][1:]:
        session.create(resource)
    bundle = session.search(plan["type"], {**plan["search"], "_total": "accurate"})
    assert bundle["type"] == "searchset"
    ids = [resource["id"] for resource in resources_of(bundle)]
    assert bundle["total"] == len(ids) >= len(plan["resources"])
    assert kept["created"]["id"] in ids


def _pages(plan: Plan, session: Any, kept: Json) -> None:
    pages = session.pages(plan["type"], {**plan["search"], "_count": "2"})
    ids = [resource["id"] for resource in resources_of(session.search(plan["type"], plan["search"]))]
    assert len(pages) == -(-len(ids) // 2)
    assert all(len(page) <= 2 for page in pages)
    assert sorted(resource["id"] for page in pages for resource in page) == sorted(ids)


def _include(plan: Plan, session: Any, kept: Json) -> None:
    include = plan["include"]
    bundle = session.search(include["type"], include["search"])
    found = {(entry["search"]["mode"], entry["resource"]["resourceType"]) for entry in bundle["entry"]}
    assert ("include", include["included"]) in found
    assert {type_ for mode, type_ in found if mode == "match"} == {include["type"]}


def _history(plan: Plan, session: Any, kept: Json) -> None:
    bundle = session.history(plan["type"], kept["created"]["id"])
    assert bundle["type"] == "history"
    versions = [int(resource["meta"]["versionId"]) for resource in resources_of(bundle)]
    assert versions == sorted(versions, reverse=True)
    assert versions[-1] == 1


def _transaction(plan: Plan, session: Any, kept: Json) -> None:
    bundle = session.transaction(plan["transaction"])
    assert bundle["type"] == "transaction-response"
    assert [entry["response"]["status"][:3] for entry in bundle["entry"]] == plan["transactionStatuses"]


def _delete(plan: Plan, session: Any, kept: Json) -> None:
    session.remove("Subscription", plan["deletable"])
    _refused(session, 410, lambda: session.read("Subscription", plan["deletable"]))


def _refusal(plan: Plan, session: Any, kept: Json) -> None:
    outcome = _refused(session, 400, lambda: session.create(plan["refused"]["resource"]))
    assert outcome["issue"][0]["expression"] == [plan["refused"]["expression"]]


def _refused(session: Any, status: int, call: Callable[[], object]) -> Json:
    raised: Exception | None = None
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever a client raises is the refusal
        raised = error
    assert raised is not None, f"expected {status}"
    told, outcome = session.refusal(raised)
    assert told in {None, status}, f"{told} instead of {status}"
    assert outcome is not None, f"no outcome in {raised!r}"
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"]
    return dict(outcome)


STEPS: Mapping[str, tuple[str, Callable[[Plan, Any, Json], None]]] = {
    "metadata": ("metadata", _metadata),
    "create": ("create", _create),
    "read": ("read", _read),
    "vread": ("vread", _vread),
    "update": ("update", _update),
    "stale update": ("update", _stale_update),
    "conditional create": ("create_if_none_exist", _conditional_create),
    "patch": ("patch", _patch),
    "search": ("search", _search),
    "pages": ("pages", _pages),
    "include": ("search", _include),
    "history": ("history", _history),
    "transaction": ("transaction", _transaction),
    "delete": ("remove", _delete),
    "refusal": ("create", _refusal),
}
