"""Goals, what the team is asked to look at, and what people are told of their readings"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0010_goals'
down_revision = '0009_trajectories'
branch_labels = None
depends_on = None


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
    op.create_index('fhir_communication_patient', 'fhir_communication', ['tenant', 'p_patient', 'id'], unique=False, postgresql_where=sa.text('p_patient IS NOT NULL'))
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
    op.create_table('fhir_goal',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_lifecycle_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_start_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_start_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.Column('p_target_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_target_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_goal_last_updated', 'fhir_goal', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_goal_patient_lifecycle_status', 'fhir_goal', ['tenant', 'p_patient', 'p_lifecycle_status', 'id'], unique=False)
    op.create_index('fhir_goal_subject', 'fhir_goal', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_goal_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_goal_index_code', 'fhir_goal_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
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
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_task_encounter', 'fhir_task', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_task_focus', 'fhir_task', ['tenant', 'p_focus', 'id'], unique=False, postgresql_where=sa.text('p_focus IS NOT NULL'))
    op.create_index('fhir_task_last_updated', 'fhir_task', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_task_owner', 'fhir_task', ['tenant', 'p_owner', 'id'], unique=False, postgresql_where=sa.text('p_owner IS NOT NULL'))
    op.create_index('fhir_task_patient_authored_on_desc', 'fhir_task', ['tenant', 'p_patient', sa.literal_column('p_authored_on_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_task_requester', 'fhir_task', ['tenant', 'p_requester', 'id'], unique=False, postgresql_where=sa.text('p_requester IS NOT NULL'))
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
    op.drop_index('fhir_task_requester', table_name='fhir_task', postgresql_where=sa.text('p_requester IS NOT NULL'))
    op.drop_index('fhir_task_patient_authored_on_desc', table_name='fhir_task')
    op.drop_index('fhir_task_owner', table_name='fhir_task', postgresql_where=sa.text('p_owner IS NOT NULL'))
    op.drop_index('fhir_task_last_updated', table_name='fhir_task')
    op.drop_index('fhir_task_focus', table_name='fhir_task', postgresql_where=sa.text('p_focus IS NOT NULL'))
    op.drop_index('fhir_task_encounter', table_name='fhir_task', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_table('fhir_task')
    op.drop_index('fhir_goal_index_code', table_name='fhir_goal_index')
    op.drop_table('fhir_goal_index')
    op.drop_index('fhir_goal_subject', table_name='fhir_goal', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_goal_patient_lifecycle_status', table_name='fhir_goal')
    op.drop_index('fhir_goal_last_updated', table_name='fhir_goal')
    op.drop_table('fhir_goal')
    op.drop_index('fhir_communication_index_code', table_name='fhir_communication_index')
    op.drop_table('fhir_communication_index')
    op.drop_index('fhir_communication_subject', table_name='fhir_communication', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_communication_sender', table_name='fhir_communication', postgresql_where=sa.text('p_sender IS NOT NULL'))
    op.drop_index('fhir_communication_patient', table_name='fhir_communication', postgresql_where=sa.text('p_patient IS NOT NULL'))
    op.drop_index('fhir_communication_last_updated', table_name='fhir_communication')
    op.drop_index('fhir_communication_encounter', table_name='fhir_communication', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_table('fhir_communication')
