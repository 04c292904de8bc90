"""Forms on pages for staff: their fields, and the token that shows that one comes from a page of ours.

The token is bound to who acts (tenant, client and person) and to when, and names nobody.
https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from collections.abc import Mapping
from urllib.parse import parse_qs

from stepwell_shared.auth.caller import Caller
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.markup import Markup, element
from stepwell_shared.runtime import Runtime
from stepwell_shared.signing import digest, opened, signed

FIELD, PURPOSE = "csrf", "page form"
FORM_TYPE = "application/x-www-form-urlencoded"
FIELDS_MAX = 2000
# A form that was opened yesterday evening can be sent this morning. A product default.
GOOD_FOR_SECONDS = 12 * 3600

Posted = Mapping[str, list[str]]


def csrf_field(runtime: Runtime, access: Caller) -> Markup:
    """The hidden field that each form with method POST must hold."""
    return element("input", type="hidden", name=FIELD, value=token_for(runtime, access))


def token_for(runtime: Runtime, access: Caller) -> str:
    """The token of somebody's forms, made now."""
    return signed(runtime, PURPOSE, _who(access), str(int(runtime.clock().timestamp())))


def check_token(runtime: Runtime, access: Caller, fields: Posted) -> None:
    """Raises FORBIDDEN unless the form comes from a page that we made for this person, not too long ago."""
    who, made = opened(runtime, PURPOSE, fields.get(FIELD, [""])[0]) or ("", "0")
    if who != _who(access) or runtime.clock().timestamp() - int(made) > GOOD_FOR_SECONDS:
        raise FhirError(Category.FORBIDDEN, "the form does not come from a page of ours, or is too old: open it again")


async def posted(exchange: Exchange) -> Posted:
    """The fields of a posted form; those of a body that is none are none."""
    body = await exchange.body()
    if exchange.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        return {}
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:  # not UTF-8, or more fields than any form of ours has
        return {}


def _who(access: Caller) -> str:
    return digest("\n".join((access.tenant, access.client_id, access.fhir_user or "")))
