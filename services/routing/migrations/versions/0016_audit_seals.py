"""The audit of each tenant is a chain: seals over its entries, which show what was changed afterwards"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0016_audit_seals'
down_revision = '0015_clinical'
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


def downgrade() -> None:
    op.execute('DROP FUNCTION IF EXISTS seal_audit(text, timestamptz, timestamptz, bytea, integer)')
    op.drop_table('audit_seal')
