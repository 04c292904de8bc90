"""The OpenAPI document of a service, from the same registry as its addresses: `openapi_document`; and made from it, a
collection of requests for API clients: `collection`.

https://spec.openapis.org/oas/v3.1.0
"""

from stepwell_shared.openapi.collection import collection, collection_text
from stepwell_shared.openapi.document import VERSION, openapi_document

__all__ = ["VERSION", "collection", "collection_text", "openapi_document"]
