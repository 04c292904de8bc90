"""`stepwell openapi`: what integrators read of the services, as files."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from stepwell_shared.installed import service_named
from stepwell_shared.openapi import collection, collection_text, openapi_document
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES


def add_openapi_command(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def openapi(folder: Annotated[Path, typer.Option(help="where the files go")] = Path("openapi")) -> None:
        """Write each service's OpenAPI document, and a collection of its requests for Postman, Bruno and newman."""
        for name in SERVICES:
            document = document_of(name)
            text = yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
            requests = collection_text(collection(document))
            for path, content in ((f"{name}.yaml", text), (f"collections/{name}.postman_collection.json", requests)):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(content, encoding="utf-8")
                typer.echo(f"wrote {folder / path}")


def document_of(name: str) -> dict[str, Any]:
    """The OpenAPI document of one service, the same on every machine."""
    service = service_named(name)
    return openapi_document(service, service.resources(Runtime()), f"https://stepwell.example/{name}/fhir")
