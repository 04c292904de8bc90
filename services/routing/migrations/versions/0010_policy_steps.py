"""The life of each policy version that a tenant publishes: into shadow, into force, out of use"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0010_policy_steps'
down_revision = '0009_cds_hooks'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('policy_step',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('pathway', sa.Text(collation='C'), nullable=False),
    sa.Column('site', sa.Text(collation='C'), nullable=False),
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('life', sa.Text(collation='C'), nullable=False),
    sa.Column('url', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Text(collation='C'), nullable=False),
    sa.Column('plan_definition_id', sa.Text(collation='C'), nullable=False),
    sa.Column('at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('by', sa.Text(collation='C'), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'pathway', 'site', 'number')
    )


def downgrade() -> None:
    op.execute('DROP FUNCTION IF EXISTS read_policy_steps(text, text[])')
    op.drop_table('policy_step')
