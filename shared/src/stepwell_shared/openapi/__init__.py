"""The OpenAPI document of a service, from the same registry as its addresses: `openapi_document`.

https://spec.openapis.org/oas/v3.1.0
"""

from stepwell_shared.openapi.document import VERSION, openapi_document

__all__ = ["VERSION", "openapi_document"]
