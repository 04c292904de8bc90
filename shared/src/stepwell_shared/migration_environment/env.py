"""Alembic's environment, the same for every service: the connection and the tables are handed in."""

from alembic import context

configuration = context.config

context.configure(
    connection=configuration.attributes["connection"],
    target_metadata=configuration.attributes["metadata"],
    compare_server_default=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
