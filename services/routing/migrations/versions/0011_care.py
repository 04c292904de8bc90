"""Care content, care plans, case reviews and messages among colleagues"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0011_care'
down_revision = '0010_policy_steps'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('fhir_activitydefinition',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_effective_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_effective_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_language', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_url', sa.Text(collation='C'), nullable=True),
    sa.Column('p_version', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_activitydefinition_last_updated', 'fhir_activitydefinition', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_activitydefinition_url', 'fhir_activitydefinition', ['tenant', 'p_url', 'id'], unique=False, postgresql_where=sa.text('p_url IS NOT NULL'))
    op.create_table('fhir_activitydefinition_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_activitydefinition_index_code', 'fhir_activitydefinition_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_activitydefinition_number',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('ordinal', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('key_system', sa.Text(collation='C'), nullable=True),
    sa.Column('key_code', sa.Text(collation='C'), nullable=True),
    sa.Column('system', sa.Text(collation='C'), nullable=True),
    sa.Column('code', sa.Text(collation='C'), nullable=True),
    sa.Column('unit', sa.Text(collation='C'), nullable=True),
    sa.Column('low', sa.Double(), nullable=True),
    sa.Column('high', sa.Double(), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'ordinal')
    )
    op.create_index('fhir_activitydefinition_number_high', 'fhir_activitydefinition_number', ['tenant', 'parameter', 'key_code', 'high', 'id'], unique=False, postgresql_where=sa.text('low < high'))
    op.create_index('fhir_activitydefinition_number_value', 'fhir_activitydefinition_number', ['tenant', 'parameter', 'key_code', 'low', 'id'], unique=False)
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
    op.create_table('fhir_careplan',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_activity_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_activity_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_encounter', sa.Text(collation='C'), nullable=True),
    sa.Column('p_intent', sa.Text(collation='C'), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_careplan_encounter', 'fhir_careplan', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_careplan_last_updated', 'fhir_careplan', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_careplan_patient_date_desc', 'fhir_careplan', ['tenant', 'p_patient', sa.literal_column('p_date_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_careplan_subject', 'fhir_careplan', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_careplan_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_careplan_index_code', 'fhir_careplan_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
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
    op.create_index('fhir_documentreference_patient', 'fhir_documentreference', ['tenant', 'p_patient', 'id'], unique=False, postgresql_where=sa.text('p_patient IS NOT NULL'))
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
    op.create_table('fhir_list',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_encounter', sa.Text(collation='C'), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_source', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_list_encounter', 'fhir_list', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_list_last_updated', 'fhir_list', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_list_patient', 'fhir_list', ['tenant', 'p_patient', 'id'], unique=False, postgresql_where=sa.text('p_patient IS NOT NULL'))
    op.create_index('fhir_list_source', 'fhir_list', ['tenant', 'p_source', 'id'], unique=False, postgresql_where=sa.text('p_source IS NOT NULL'))
    op.create_index('fhir_list_subject', 'fhir_list', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_list_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_list_index_code', 'fhir_list_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_task',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_authored_on_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_authored_on_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_encounter', sa.Text(collation='C'), nullable=True),
    sa.Column('p_focus', sa.Text(collation='C'), nullable=True),
    sa.Column('p_intent', sa.Text(collation='C'), nullable=True),
    sa.Column('p_modified_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_modified_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_owner', sa.Text(collation='C'), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_period_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_period_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_priority', sa.Text(collation='C'), nullable=True),
    sa.Column('p_requester', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.Column('p_due_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_due_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_task_encounter', 'fhir_task', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_task_focus', 'fhir_task', ['tenant', 'p_focus', 'id'], unique=False, postgresql_where=sa.text('p_focus IS NOT NULL'))
    op.create_index('fhir_task_last_updated', 'fhir_task', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_task_owner', 'fhir_task', ['tenant', 'p_owner', 'id'], unique=False, postgresql_where=sa.text('p_owner IS NOT NULL'))
    op.create_index('fhir_task_patient_authored_on_desc', 'fhir_task', ['tenant', 'p_patient', sa.literal_column('p_authored_on_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_task_requester', 'fhir_task', ['tenant', 'p_requester', 'id'], unique=False, postgresql_where=sa.text('p_requester IS NOT NULL'))
    op.create_index('fhir_task_status_due', 'fhir_task', ['tenant', 'p_status', 'p_due_low', 'id'], unique=False)
    op.create_index('fhir_task_subject', 'fhir_task', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_task_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_task_index_code', 'fhir_task_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)


def downgrade() -> None:
    op.drop_index('fhir_task_index_code', table_name='fhir_task_index')
    op.drop_table('fhir_task_index')
    op.drop_index('fhir_task_subject', table_name='fhir_task', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_task_status_due', table_name='fhir_task')
    op.drop_index('fhir_task_requester', table_name='fhir_task', postgresql_where=sa.text('p_requester IS NOT NULL'))
    op.drop_index('fhir_task_patient_authored_on_desc', table_name='fhir_task')
    op.drop_index('fhir_task_owner', table_name='fhir_task', postgresql_where=sa.text('p_owner IS NOT NULL'))
    op.drop_index('fhir_task_last_updated', table_name='fhir_task')
    op.drop_index('fhir_task_focus', table_name='fhir_task', postgresql_where=sa.text('p_focus IS NOT NULL'))
    op.drop_index('fhir_task_encounter', table_name='fhir_task', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_table('fhir_task')
    op.drop_index('fhir_list_index_code', table_name='fhir_list_index')
    op.drop_table('fhir_list_index')
    op.drop_index('fhir_list_subject', table_name='fhir_list', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_list_source', table_name='fhir_list', postgresql_where=sa.text('p_source IS NOT NULL'))
    op.drop_index('fhir_list_patient', table_name='fhir_list', postgresql_where=sa.text('p_patient IS NOT NULL'))
    op.drop_index('fhir_list_last_updated', table_name='fhir_list')
    op.drop_index('fhir_list_encounter', table_name='fhir_list', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_table('fhir_list')
    op.drop_index('fhir_documentreference_index_code', table_name='fhir_documentreference_index')
    op.drop_table('fhir_documentreference_index')
    op.drop_index('fhir_documentreference_subject', table_name='fhir_documentreference', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_documentreference_patient', table_name='fhir_documentreference', postgresql_where=sa.text('p_patient IS NOT NULL'))
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
    op.drop_index('fhir_careplan_index_code', table_name='fhir_careplan_index')
    op.drop_table('fhir_careplan_index')
    op.drop_index('fhir_careplan_subject', table_name='fhir_careplan', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_careplan_patient_date_desc', table_name='fhir_careplan')
    op.drop_index('fhir_careplan_last_updated', table_name='fhir_careplan')
    op.drop_index('fhir_careplan_encounter', table_name='fhir_careplan', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_table('fhir_careplan')
    op.drop_index('fhir_appointment_index_code', table_name='fhir_appointment_index')
    op.drop_table('fhir_appointment_index')
    op.drop_index('fhir_appointment_last_updated', table_name='fhir_appointment')
    op.drop_table('fhir_appointment')
    op.drop_index('fhir_activitydefinition_number_value', table_name='fhir_activitydefinition_number')
    op.drop_index('fhir_activitydefinition_number_high', table_name='fhir_activitydefinition_number', postgresql_where=sa.text('low < high'))
    op.drop_table('fhir_activitydefinition_number')
    op.drop_index('fhir_activitydefinition_index_code', table_name='fhir_activitydefinition_index')
    op.drop_table('fhir_activitydefinition_index')
    op.drop_index('fhir_activitydefinition_url', table_name='fhir_activitydefinition', postgresql_where=sa.text('p_url IS NOT NULL'))
    op.drop_index('fhir_activitydefinition_last_updated', table_name='fhir_activitydefinition')
    op.drop_table('fhir_activitydefinition')
