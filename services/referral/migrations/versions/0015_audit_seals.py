"""The audit of each tenant is a chain: seals over its entries, which say who acted and are looked at newest first"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0015_audit_seals'
down_revision = '0014_care_team'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('audit_seal',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('number', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('last_id', sa.BigInteger(), nullable=False),
    sa.Column('entries', sa.Integer(), nullable=False),
    sa.Column('digest', postgresql.BYTEA(), nullable=False),
    sa.Column('sealed_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'number')
    )
    op.add_column('audit', sa.Column('fhir_user', sa.Text(collation='C'), nullable=True))
    op.create_index('audit_recorded', 'audit', ['tenant', sa.text('recorded DESC NULLS LAST')], unique=False)


def downgrade() -> None:
    op.execute('DROP FUNCTION IF EXISTS seal_audit(text, timestamptz, timestamptz, bytea, integer)')
    op.execute('DROP VIEW IF EXISTS fhir_auditevent')
    op.execute('DROP VIEW IF EXISTS fhir_auditevent_index')
    op.drop_index('audit_recorded', table_name='audit')
    op.drop_column('audit', 'fhir_user')
    op.drop_table('audit_seal')
