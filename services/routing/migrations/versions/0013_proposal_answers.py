"""How people answer proposals is counted: a row for each acceptance and override"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0013_proposal_answers'
down_revision = '0012_course_timers'
branch_labels = None
depends_on = None

FUNCTIONS = (
    'insert_proposal_answer(text, text[], timestamptz[], text[], text[], text[], text[], text[])',
    'read_proposal_answers(text, timestamptz, timestamptz)',
)


def upgrade() -> None:
    op.create_table('proposal_answer',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('proposal', sa.Text(collation='C'), nullable=False),
    sa.Column('answered_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('answer', sa.Text(collation='C'), nullable=False),
    sa.Column('policy', sa.Text(collation='C'), nullable=False),
    sa.Column('rules', sa.Text(collation='C'), nullable=False),
    sa.Column('reason', sa.Text(collation='C'), nullable=False),
    sa.Column('site', sa.Text(collation='C'), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'proposal')
    )
    op.create_index('proposal_answer_at', 'proposal_answer', ['tenant', 'answered_at'], unique=False)


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_index('proposal_answer_at', table_name='proposal_answer')
    op.drop_table('proposal_answer')
