"""Questions among colleagues: asked with a time until which the answer is promised, and answered once."""

from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_routing.builders import econsults as builders
from stepwell_routing.builders.content import OPEN_STATUSES, completed_content_task
from stepwell_routing.data.plans import reply_within
from stepwell_routing.use_cases.people import Person, content, person_of, unprocessable

Resource = dict[str, Any]


async def send_message(runtime: Runtime, write: Write) -> None:
    """A question is asked or answered. Raises FhirError: FORBIDDEN for words in somebody else's name, BUSINESS_RULE."""
    message = write.resource or {}
    if message.get("sender", {}).get("reference") != write.access.fhir_user or write.access.fhir_user is None:
        raise FhirError(Category.FORBIDDEN, "who sends it is the person whom the token names")
    if write.access.fhir_user.rpartition("/")[0].endswith("Patient"):
        raise FhirError(Category.FORBIDDEN, "colleagues ask each other here; people write to their team in referral")
    if not message.get("payload"):
        raise unprocessable("say something", "Communication.payload")
    person = await person_of(runtime, write.read, message.get("subject"), "Communication.subject")
    codings = [coding for each in message.get("category", ()) for coding in each.get("coding", ())]
    codes = {each.get("code") for each in codings if each.get("system") == builders.CASE_REVIEW}
    if codes == {builders.QUESTION}:
        _ask(runtime, write, {**message, "id": write.stored.id})
    elif codes == {builders.ANSWER}:
        await _answer(runtime, write, message, person)
    else:
        text = f"the category is {builders.QUESTION} or {builders.ANSWER}"
        raise unprocessable(text, "Communication.category")


def _ask(runtime: Runtime, write: Write, question: Resource) -> None:
    if question.get("status") != "in-progress" or not question.get("recipient"):
        raise unprocessable("a question is in-progress and says who is asked", "Communication.recipient")
    if "inResponseTo" in question:
        raise unprocessable("a question answers nothing", "Communication.inResponseTo")
    due = write.now + reply_within(question.get("priority", "routine"))
    task_id = _task_id(runtime, write, write.stored.id)
    task = builders.answer_task(question, resource_id=task_id, asked=write.now, due=due)
    write.unit.changes.append(built(runtime.engine, task, write.now))


async def _answer(runtime: Runtime, write: Write, answer: Resource, person: Person) -> None:
    """The question and the Task of who was asked are closed in the commit of the answer."""
    place = "Communication.inResponseTo"
    references = [runtime.engine.localise(str(each.get("reference"))) for each in answer.get("inResponseTo", ())]
    if answer.get("status") != "completed" or len(references) != 1 or not references[0].startswith("Communication/"):
        raise unprocessable("an answer is completed and in response to one question of this service", place)
    question_id = references[0].partition("/")[2]
    stored = await write.read("Communication", question_id)
    question = content(stored)
    if stored is None or question is None or question.get("status") != "in-progress" or "inResponseTo" in question:
        raise unprocessable("this is no question that waits for an answer", place)
    asked_about = await person_of(runtime, write.read, question["subject"], "Communication.subject")
    if asked_about.key != person.key:
        raise unprocessable("the answer is about the person of the question", "Communication.subject")
    if question["sender"] == answer["sender"]:
        raise unprocessable("somebody else answers", "Communication.sender")
    closed = {name: value for name, value in question.items() if name != "meta"} | {"status": "completed"}
    write.unit.changes.append(built(runtime.engine, closed, write.now, version=stored.version + 1))
    kept = await write.read("Task", _task_id(runtime, write, question_id))
    task = content(kept)
    if kept is not None and task is not None and task.get("status") in OPEN_STATUSES:
        done = completed_content_task(task, completed_by=answer["sender"], moment=write.now)
        write.unit.changes.append(built(runtime.engine, done, write.now, version=kept.version + 1))


def _task_id(runtime: Runtime, write: Write, question_id: str) -> str:
    return derived_id(runtime.engine.base_url, write.access.tenant, "econsult", question_id)
