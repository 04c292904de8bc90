"""What policies in shadow decide is compared: a row beside each decision"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0014_shadow_decisions'
down_revision = '0013_proposal_answers'
branch_labels = None
depends_on = None

FUNCTIONS = (
    'insert_shadow_decision(text, text[], text[], text[], text[], timestamptz[], text[], text[], text[], text[], text[], text[])',
    'read_shadow_decisions(text, text, timestamptz, timestamptz)',
    'read_knowledge(text, text[])',
    'read_publications(text)',
)


def upgrade() -> None:
    op.create_table('shadow_decision',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('policy', sa.Text(collation='C'), nullable=False),
    sa.Column('present_policy', sa.Text(collation='C'), nullable=False),
    sa.Column('site', sa.Text(collation='C'), nullable=False),
    sa.Column('decided_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('present_step', sa.Text(collation='C'), nullable=False),
    sa.Column('step', sa.Text(collation='C'), nullable=False),
    sa.Column('move', sa.Text(collation='C'), nullable=False),
    sa.Column('hold', sa.Text(collation='C'), nullable=False),
    sa.Column('broken', sa.Text(collation='C'), nullable=False),
    sa.Column('rules', sa.Text(collation='C'), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('shadow_decision_at', 'shadow_decision', ['tenant', 'policy', 'decided_at'], unique=False)


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_index('shadow_decision_at', table_name='shadow_decision')
    op.drop_table('shadow_decision')
