"""Answers that were given under an Idempotency-Key"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0003_idempotency'
down_revision = '0002_delivery'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('idempotency_key',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('client_id', sa.Text(collation='C'), nullable=False),
    sa.Column('key', sa.Text(collation='C'), nullable=False),
    sa.Column('digest', postgresql.BYTEA(), nullable=False),
    sa.Column('status', sa.SmallInteger(), nullable=False),
    sa.Column('headers', sa.Text(collation='C'), nullable=False),
    sa.Column('resource_id', sa.Text(collation='C'), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=False),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'client_id', 'key')
    )
    op.create_index('idempotency_key_age', 'idempotency_key', ['tenant', 'created_at'], unique=False)


def downgrade() -> None:
    op.execute('DROP FUNCTION IF EXISTS find_idempotency_key(text, text, text)')
    op.execute('DROP FUNCTION IF EXISTS forget_idempotency_key(text, timestamptz, integer)')
    op.drop_index('idempotency_key_age', table_name='idempotency_key')
    op.drop_table('idempotency_key')
