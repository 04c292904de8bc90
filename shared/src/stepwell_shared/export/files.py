"""The bytes of one file: stored resources as they are, one a line, or the deletions as transaction Bundles."""

from collections.abc import AsyncIterator

import orjson

from stepwell_shared.canonical import derived_id
from stepwell_shared.export.source import Source
from stepwell_shared.fhir.messages import outgoing
from stepwell_shared.fhir.presentation import View
from stepwell_shared.fhir.unit import Stored

# White space between the members of a resource that a client sent so; within a text JSON has no line break.
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


async def lines(source: Source, after: str, last: str) -> AsyncIterator[bytes]:
    """The file a page at a time, so that memory stays flat; each resource ends with a line break."""
    async for page in source.pages(after, last):
        yield _text(source, page)


def _text(source: Source, page: list[Stored]) -> bytes:
    if source.selection.is_deleted:
        return _deletions(source, page) + b"\n"
    view = View(elements=frozenset(source.job.recipe.elements))
    served_type = source.served_type
    if served_type.mask is None and view.is_whole:
        bodies = [each.body or b"" for each in page]
    else:
        bodies = [outgoing(served_type, each, view) for each in page]
    text = b"\n".join(bodies) + b"\n"
    if text.count(b"\n") == len(page) and b"\r" not in text:
        return text
    return b"\n".join(body.translate(_ONE_LINE) for body in bodies) + b"\n"


def _deletions(source: Source, page: list[Stored]) -> bytes:
    """https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status"""
    entries = [{"request": {"method": "DELETE", "url": f"{each.resource_type}/{each.id}"}} for each in page]
    id_ = derived_id(source.engine.base_url, source.tenant, source.job.id, page[0].resource_type, page[0].id)
    return orjson.dumps({"resourceType": "Bundle", "id": id_, "type": "transaction", "entry": entries})
