"""Alembic's environment, the same for every service: the connection and the tables are handed in."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

configuration = context.config


def render(kind: str, item: Any, autogenerate: AutogenContext) -> str | Literal[False]:
    """Our own column types by a plain name, with their import."""
    module = type(item).__module__
    if kind == "type" and module.startswith("stepwell_"):
        autogenerate.imports.add(f"from {module} import {type(item).__name__}")
        return f"{type(item).__name__}()"
    return False


context.configure(
    connection=configuration.attributes["connection"],
    target_metadata=configuration.attributes["metadata"],
    compare_server_default=True,
    version_table=configuration.attributes.get("version_table", "alembic_version"),
    render_item=render,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
