"""The page that shows a service's OpenAPI document: Swagger UI from our own host: no script comes from elsewhere.

It stands where staff have sessions: the browser runs these two scripts and nothing else, and speaks with this host
alone. What the page shows is public, and so is the document.
"""

from collections.abc import Callable, Iterator
from html import escape
from importlib.resources import files
from typing import NamedTuple

from stepwell_shared.pages.headers import security_headers

# Kept with hashes in requirements.lock; the package brings the files of Swagger UI as they are released.
_FILES = files("fastapi_offline") / "static"
_SCRIPT, _STYLE, _START = "swagger-ui-bundle.js", "swagger-ui.css", "start.js"
_STARTING = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#reference", deepLinking: true, docExpansion: "list", defaultModelsExpandDepth: 0,
  filter: true, tryItOutEnabled: false, validatorUrl: null
});
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: reference</title>
<link rel="stylesheet" href="docs/{style}">
</head>
<body>
<main id="reference"></main>
<noscript>This page needs scripts. The document that it shows is <a href="openapi.json">openapi.json</a>.</noscript>
<script src="docs/{script}"></script>
<script src="docs/{start}"></script>
</body>
</html>
"""
_HEADERS = security_headers(script_src="'self'", style_src="'self'", img_src="'self' data:", connect_src="'self'")
# A page is kept by no browser; what it is made of may be, and is asked for again.
_KEPT = {**_HEADERS, "Cache-Control": "no-cache"}


class Part(NamedTuple):
    """A file of the page, where it stands and what a browser is told with it."""

    path: str
    read: Callable[[], bytes]
    media_type: str
    headers: dict[str, str]


def reference(service: str, title: str) -> Iterator[Part]:
    """The page at `/{service}/docs` and what it consists of; the document is at `/{service}/openapi.json`.

    Nothing is read until somebody asks: it is nearly two megabytes, and most processes are never asked.
    """
    page = _PAGE.format(title=escape(title), style=_STYLE, script=_SCRIPT, start=_START)
    below = f"/{service}/docs"
    yield Part(below, page.encode, "text/html", _HEADERS)
    yield Part(f"{below}/{_STYLE}", (_FILES / _STYLE).read_bytes, "text/css", _KEPT)
    yield Part(f"{below}/{_SCRIPT}", (_FILES / _SCRIPT).read_bytes, "text/javascript", _KEPT)
    yield Part(f"{below}/{_START}", _STARTING.encode, "text/javascript", _KEPT)
