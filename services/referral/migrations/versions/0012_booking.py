"""Calendars, slots and appointments; who has which place, reminders, and the figures of waits"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0012_booking'
down_revision = '0011_directory'
branch_labels = None
depends_on = None

FUNCTIONS = (
    'insert_slot_claim(text, text[], integer[], text[], text[], timestamptz[])',
    'insert_appointment_timer(text, text[], integer[], timestamptz[])',
    'insert_service_pace(text, text[], text[], timestamptz[])',
    'read_slot_claims(text, text[])',
    'read_queue(text, text)',
    'read_begun(text, text, timestamptz)',
    'read_service_paces(text)',
    'read_calendar(text, text, timestamptz, timestamptz)',
    'read_attendance(text, text, timestamptz)',
    'read_arrivals(text, text, timestamptz)',
    'read_promises(text, text, integer)',
    'claim_lapsed_holds(text[], timestamptz, float8, integer)',
    'claim_appointment_timers(text[], timestamptz, float8, integer)',
    'claim_service_paces(text[], timestamptz, float8, integer)',
)


def upgrade() -> None:
    op.create_table('appointment_timer',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('appointment_id', sa.Text(collation='C'), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('due_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('lease_until', postgresql.TIMESTAMP(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'appointment_id')
    )
    op.create_index('appointment_timer_due', 'appointment_timer', ['tenant', 'due_at'], unique=False, postgresql_where=sa.text('due_at IS NOT NULL'))
    op.create_table('fhir_appointment',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_appointment_last_updated', 'fhir_appointment', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_table('fhir_appointment_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_appointment_index_code', 'fhir_appointment_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_schedule',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_active', sa.Text(collation='C'), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_schedule_last_updated', 'fhir_schedule', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_table('fhir_schedule_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_schedule_index_code', 'fhir_schedule_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_slot',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_schedule', sa.Text(collation='C'), nullable=True),
    sa.Column('p_start_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_start_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_slot_last_updated', 'fhir_slot', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_slot_schedule_start', 'fhir_slot', ['tenant', 'p_schedule', 'p_start_low', 'id'], unique=False)
    op.create_table('fhir_slot_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_slot_index_code', 'fhir_slot_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('service_pace',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('service_id', sa.Text(collation='C'), nullable=False),
    sa.Column('figures', sa.Text(collation='C'), nullable=True),
    sa.Column('due_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('lease_until', postgresql.TIMESTAMP(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'service_id')
    )
    op.create_index('service_pace_due', 'service_pace', ['tenant', 'due_at'], unique=False, postgresql_where=sa.text('due_at IS NOT NULL'))
    op.create_table('slot_claim',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('slot_id', sa.Text(collation='C'), nullable=False),
    sa.Column('place', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('appointment_id', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('held_until', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('lease_until', postgresql.TIMESTAMP(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'slot_id', 'place')
    )
    op.create_index('slot_claim_appointment', 'slot_claim', ['tenant', 'appointment_id'], unique=False)
    op.create_index('slot_claim_held', 'slot_claim', ['tenant', 'held_until'], unique=False, postgresql_where=sa.text('held_until IS NOT NULL'))
    op.create_index('slot_claim_person', 'slot_claim', ['tenant', 'slot_id', 'person'], unique=True)


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_index('slot_claim_person', table_name='slot_claim')
    op.drop_index('slot_claim_held', table_name='slot_claim', postgresql_where=sa.text('held_until IS NOT NULL'))
    op.drop_index('slot_claim_appointment', table_name='slot_claim')
    op.drop_table('slot_claim')
    op.drop_index('service_pace_due', table_name='service_pace', postgresql_where=sa.text('due_at IS NOT NULL'))
    op.drop_table('service_pace')
    op.drop_index('fhir_slot_index_code', table_name='fhir_slot_index')
    op.drop_table('fhir_slot_index')
    op.drop_index('fhir_slot_schedule_start', table_name='fhir_slot')
    op.drop_index('fhir_slot_last_updated', table_name='fhir_slot')
    op.drop_table('fhir_slot')
    op.drop_index('fhir_schedule_index_code', table_name='fhir_schedule_index')
    op.drop_table('fhir_schedule_index')
    op.drop_index('fhir_schedule_last_updated', table_name='fhir_schedule')
    op.drop_table('fhir_schedule')
    op.drop_index('fhir_appointment_index_code', table_name='fhir_appointment_index')
    op.drop_table('fhir_appointment_index')
    op.drop_index('fhir_appointment_last_updated', table_name='fhir_appointment')
    op.drop_table('fhir_appointment')
    op.drop_index('appointment_timer_due', table_name='appointment_timer', postgresql_where=sa.text('due_at IS NOT NULL'))
    op.drop_table('appointment_timer')
