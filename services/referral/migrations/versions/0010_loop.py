"""Messages, documents, and timers of open referrals"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0010_loop'
down_revision = '0009_consents'
branch_labels = None
depends_on = None

FUNCTIONS = (
    'insert_referral_timer(text, text[], text[], integer[], timestamptz[])',
    'claim_referral_timers(text[], timestamptz, float8, integer)',
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
    op.create_table('fhir_documentreference',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_authenticator', sa.Text(collation='C'), nullable=True),
    sa.Column('p_custodian', sa.Text(collation='C'), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_period_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_period_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_documentreference_authenticator', 'fhir_documentreference', ['tenant', 'p_authenticator', 'id'], unique=False, postgresql_where=sa.text('p_authenticator IS NOT NULL'))
    op.create_index('fhir_documentreference_custodian', 'fhir_documentreference', ['tenant', 'p_custodian', 'id'], unique=False, postgresql_where=sa.text('p_custodian IS NOT NULL'))
    op.create_index('fhir_documentreference_last_updated', 'fhir_documentreference', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_documentreference_patient_date_desc', 'fhir_documentreference', ['tenant', 'p_patient', sa.literal_column('p_date_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_documentreference_subject', 'fhir_documentreference', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_documentreference_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_documentreference_index_code', 'fhir_documentreference_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('referral_timer',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('task_id', sa.Text(collation='C'), nullable=False),
    sa.Column('state', sa.Text(collation='C'), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('due_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('lease_until', postgresql.TIMESTAMP(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'task_id')
    )
    op.create_index('referral_timer_due', 'referral_timer', ['tenant', 'due_at'], unique=False, postgresql_where=sa.text('due_at IS NOT NULL'))


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_index('referral_timer_due', table_name='referral_timer', postgresql_where=sa.text('due_at IS NOT NULL'))
    op.drop_table('referral_timer')
    op.drop_index('fhir_documentreference_index_code', table_name='fhir_documentreference_index')
    op.drop_table('fhir_documentreference_index')
    op.drop_index('fhir_documentreference_subject', table_name='fhir_documentreference', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_documentreference_patient_date_desc', table_name='fhir_documentreference')
    op.drop_index('fhir_documentreference_last_updated', table_name='fhir_documentreference')
    op.drop_index('fhir_documentreference_custodian', table_name='fhir_documentreference', postgresql_where=sa.text('p_custodian IS NOT NULL'))
    op.drop_index('fhir_documentreference_authenticator', table_name='fhir_documentreference', postgresql_where=sa.text('p_authenticator IS NOT NULL'))
    op.drop_table('fhir_documentreference')
    op.drop_index('fhir_communication_index_code', table_name='fhir_communication_index')
    op.drop_table('fhir_communication_index')
    op.drop_index('fhir_communication_subject', table_name='fhir_communication', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_communication_sender', table_name='fhir_communication', postgresql_where=sa.text('p_sender IS NOT NULL'))
    op.drop_index('fhir_communication_patient_sent_desc', table_name='fhir_communication')
    op.drop_index('fhir_communication_last_updated', table_name='fhir_communication')
    op.drop_index('fhir_communication_encounter', table_name='fhir_communication', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_table('fhir_communication')
