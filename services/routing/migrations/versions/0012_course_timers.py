"""Reviews, boosters and resume checks fall due: their timers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0012_course_timers'
down_revision = '0011_care'
branch_labels = None
depends_on = None

FUNCTIONS = (
    'insert_course_timer(text, text[], text[], text[], timestamptz[])',
    'claim_course_timers(text[], timestamptz, float8, integer)',
)


def upgrade() -> None:
    op.create_table('course_timer',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('task_id', sa.Text(collation='C'), nullable=False),
    sa.Column('kind', sa.Text(collation='C'), nullable=False),
    sa.Column('subject', sa.Text(collation='C'), nullable=False),
    sa.Column('due_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('lease_until', postgresql.TIMESTAMP(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'task_id')
    )
    op.create_index('course_timer_due', 'course_timer', ['tenant', 'due_at'], unique=False, postgresql_where=sa.text('due_at IS NOT NULL'))


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_index('course_timer_due', table_name='course_timer', postgresql_where=sa.text('due_at IS NOT NULL'))
    op.drop_table('course_timer')
