"""Bulk exports: what was asked for and as of when, and the files that were found"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from stepwell_shared.database.transaction_id import Xid8

revision = '0016_exports'
down_revision = '0016_partner_terms'
branch_labels = None
depends_on = None

FUNCTIONS = (
    'claim_exports(text[], timestamptz, float8, integer)',
    'export_versions(text, text, text, text, text, text, text, boolean, integer)',
    'export_extent(text, text, text, text, text, text, text, boolean, integer)',
    'export_changed(text, text, text, text, text)',
    'export_as_they_were(text, text, text[], text, text, text, boolean)',
    'export_floor(text, text, timestamptz)',
)


def upgrade() -> None:
    op.create_table('export_job',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('client_id', sa.Text(collation='C'), nullable=False),
    sa.Column('request', sa.Text(collation='C'), nullable=False),
    sa.Column('recipe', postgresql.BYTEA(), nullable=False),
    sa.Column('transaction_time', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('horizon', Xid8(), nullable=False),
    sa.Column('status', sa.Text(collation='C'), nullable=False),
    sa.Column('reason', sa.Text(collation='C'), nullable=False),
    sa.Column('place', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('selection', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('after_id', sa.Text(collation='C'), nullable=False),
    sa.Column('resources', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('due_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('lease_until', postgresql.TIMESTAMP(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('export_job_due', 'export_job', ['tenant', 'due_at'], unique=False, postgresql_where=sa.text('due_at IS NOT NULL'))
    op.create_index('export_job_time', 'export_job', ['tenant', 'transaction_time'], unique=False)
    op.create_table('export_part',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('job_id', sa.Text(collation='C'), nullable=False),
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('selection', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('after_id', sa.Text(collation='C'), nullable=False),
    sa.Column('last_id', sa.Text(collation='C'), nullable=False),
    sa.Column('resources', sa.Integer(), autoincrement=False, nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'job_id', 'number')
    )


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_table('export_part')
    op.drop_index('export_job_time', table_name='export_job')
    op.drop_index('export_job_due', table_name='export_job', postgresql_where=sa.text('due_at IS NOT NULL'))
    op.drop_table('export_job')
