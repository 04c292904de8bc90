"""Who is asked to fill in a form again, and when"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0013_measurement_schedules'
down_revision = '0012_safety_timers'
branch_labels = None
depends_on = None

FUNCTIONS = (
    'insert_measurement_schedule(text, text[], text[], boolean[], timestamptz[], integer[], integer[])',
    'set_measurement_facts(text, text, text, text, integer)',
    'read_measurement_schedule(text, text)',
    'waiting_measurement_schedules(text, text[])',
    'read_measurement_record(text, text)',
    'claim_measurement_schedules(text[], timestamptz, float8, integer)',
)


def upgrade() -> None:
    op.create_table('measurement_schedule',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('subject', sa.Text(collation='C'), nullable=False),
    sa.Column('progress', sa.Text(collation='C'), nullable=False),
    sa.Column('is_waiting', sa.Boolean(), nullable=False),
    sa.Column('next_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('changes', sa.Integer(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('facts', sa.Text(collation='C'), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('lease_until', postgresql.TIMESTAMP(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'subject')
    )
    op.create_index('measurement_schedule_due', 'measurement_schedule', ['tenant', 'next_at'], unique=False, postgresql_where=sa.text('next_at IS NOT NULL'))
    op.create_index('measurement_schedule_waiting', 'measurement_schedule', ['tenant', 'subject'], unique=False, postgresql_where=sa.text('is_waiting'))


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_index('measurement_schedule_waiting', table_name='measurement_schedule', postgresql_where=sa.text('is_waiting'))
    op.drop_index('measurement_schedule_due', table_name='measurement_schedule', postgresql_where=sa.text('next_at IS NOT NULL'))
    op.drop_table('measurement_schedule')
