"""Safety Tasks escalate: their timers, who is on call, and Communication; Tasks are sorted by when they are due"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0012_safety_timers'
down_revision = '0011_consents'
branch_labels = None
depends_on = None

# Alerts that are open already get a timer as well, due at once. Row-level security shows one tenant at a time.
TIMERS_OF_OPEN_TASKS = """DO $block$
DECLARE each text;
BEGIN
  FOR each IN SELECT id FROM tenant LOOP
    PERFORM set_config('stepwell.tenant', each, true);
    INSERT INTO safety_timer (tenant, task_id, kind, ladder, step, due_at, deadline)
      SELECT t.tenant, t.id, 'safety-review', 'at-once', 0, now(),
        (convert_from(t.body, 'UTF8')::jsonb #>> '{restriction,period,end}')::timestamptz
      FROM fhir_task AS t WHERE t.tenant = each AND t.body IS NOT NULL
        AND t.p_status IN ('requested', 'received', 'accepted', 'ready', 'in-progress', 'on-hold');
  END LOOP;
END $block$"""

FUNCTIONS = (
    'insert_safety_timer(text, text[], text[], text[], integer[], timestamptz[], timestamptz[])',
    'claim_safety_timers(text[], timestamptz, float8, integer)',
    'read_safety_timer(text, text)',
    'safety_timer_figures(text[], timestamptz)',
    'read_on_call(text)',
    'set_on_call(text, text, timestamptz)',
)


def upgrade() -> None:
    op.create_table('fhir_communication',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_encounter', sa.Text(collation='C'), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_received_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_received_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_sender', sa.Text(collation='C'), nullable=True),
    sa.Column('p_sent_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_sent_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_communication_encounter', 'fhir_communication', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_communication_last_updated', 'fhir_communication', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_communication_patient_sent_desc', 'fhir_communication', ['tenant', 'p_patient', sa.literal_column('p_sent_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_communication_sender', 'fhir_communication', ['tenant', 'p_sender', 'id'], unique=False, postgresql_where=sa.text('p_sender IS NOT NULL'))
    op.create_index('fhir_communication_subject', 'fhir_communication', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_communication_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_communication_index_code', 'fhir_communication_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('on_call',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('document', sa.Text(collation='C'), nullable=False),
    sa.Column('set_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant')
    )
    op.create_table('safety_timer',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('task_id', sa.Text(collation='C'), nullable=False),
    sa.Column('kind', sa.Text(collation='C'), nullable=False),
    sa.Column('ladder', sa.Text(collation='C'), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('due_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('deadline', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('lease_until', postgresql.TIMESTAMP(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'task_id')
    )
    op.create_index('safety_timer_due', 'safety_timer', ['tenant', 'due_at'], unique=False, postgresql_where=sa.text('due_at IS NOT NULL'))
    op.add_column('fhir_task', sa.Column('p_due_low', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column('fhir_task', sa.Column('p_due_high', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.drop_index(op.f('fhir_task_status_authored_on'), table_name='fhir_task')
    op.create_index('fhir_task_status_due', 'fhir_task', ['tenant', 'p_status', 'p_due_low', 'id'], unique=False)
    op.execute(TIMERS_OF_OPEN_TASKS)


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_index('fhir_task_status_due', table_name='fhir_task')
    op.create_index(op.f('fhir_task_status_authored_on'), 'fhir_task', ['tenant', 'p_status', 'p_authored_on_low', 'id'], unique=False)
    op.drop_column('fhir_task', 'p_due_high')
    op.drop_column('fhir_task', 'p_due_low')
    op.drop_index('safety_timer_due', table_name='safety_timer', postgresql_where=sa.text('due_at IS NOT NULL'))
    op.drop_table('safety_timer')
    op.drop_table('on_call')
    op.drop_index('fhir_communication_index_code', table_name='fhir_communication_index')
    op.drop_table('fhir_communication_index')
    op.drop_index('fhir_communication_subject', table_name='fhir_communication', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_communication_sender', table_name='fhir_communication', postgresql_where=sa.text('p_sender IS NOT NULL'))
    op.drop_index('fhir_communication_patient_sent_desc', table_name='fhir_communication')
    op.drop_index('fhir_communication_last_updated', table_name='fhir_communication')
    op.drop_index('fhir_communication_encounter', table_name='fhir_communication', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_table('fhir_communication')
