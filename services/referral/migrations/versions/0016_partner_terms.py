"""What partners take, the fingerprints of their keys, and when they were last heard"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0016_partner_terms'
down_revision = '0015_audit_seals'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('partner_link',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('name', sa.Text(collation='C'), nullable=False),
    sa.Column('heard_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'name')
    )
    for name in ('keys', 'taken_here', 'taken_there'):
        op.add_column('partner', sa.Column(name, sa.Text(collation='C'), server_default=sa.text("''"), nullable=False))


def downgrade() -> None:
    for name in ('taken_there', 'taken_here', 'keys'):
        op.drop_column('partner', name)
    op.drop_table('partner_link')
