"""Conditions and medicines as received"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0015_clinical'
down_revision = '0014_shadow_decisions'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('fhir_condition',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_abatement_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_abatement_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_asserter', sa.Text(collation='C'), nullable=True),
    sa.Column('p_encounter', sa.Text(collation='C'), nullable=True),
    sa.Column('p_onset_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_onset_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_recorded_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_recorded_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_condition_asserter', 'fhir_condition', ['tenant', 'p_asserter', 'id'], unique=False, postgresql_where=sa.text('p_asserter IS NOT NULL'))
    op.create_index('fhir_condition_encounter', 'fhir_condition', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_condition_last_updated', 'fhir_condition', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_condition_patient_recorded_date_desc', 'fhir_condition', ['tenant', 'p_patient', sa.literal_column('p_recorded_date_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_condition_subject', 'fhir_condition', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_condition_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_condition_index_code', 'fhir_condition_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_condition_number',
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
    op.create_index('fhir_condition_number_high', 'fhir_condition_number', ['tenant', 'parameter', 'key_code', 'high', 'id'], unique=False, postgresql_where=sa.text('low < high'))
    op.create_index('fhir_condition_number_value', 'fhir_condition_number', ['tenant', 'parameter', 'key_code', 'low', 'id'], unique=False)
    op.create_table('fhir_medicationstatement',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_context', sa.Text(collation='C'), nullable=True),
    sa.Column('p_effective_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_effective_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_medication', sa.Text(collation='C'), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_source', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_medicationstatement_context', 'fhir_medicationstatement', ['tenant', 'p_context', 'id'], unique=False, postgresql_where=sa.text('p_context IS NOT NULL'))
    op.create_index('fhir_medicationstatement_last_updated', 'fhir_medicationstatement', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_medicationstatement_medication', 'fhir_medicationstatement', ['tenant', 'p_medication', 'id'], unique=False, postgresql_where=sa.text('p_medication IS NOT NULL'))
    op.create_index('fhir_medicationstatement_patient_effective_desc', 'fhir_medicationstatement', ['tenant', 'p_patient', sa.literal_column('p_effective_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_medicationstatement_source', 'fhir_medicationstatement', ['tenant', 'p_source', 'id'], unique=False, postgresql_where=sa.text('p_source IS NOT NULL'))
    op.create_index('fhir_medicationstatement_subject', 'fhir_medicationstatement', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_medicationstatement_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_medicationstatement_index_code', 'fhir_medicationstatement_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)


def downgrade() -> None:
    op.drop_index('fhir_medicationstatement_index_code', table_name='fhir_medicationstatement_index')
    op.drop_table('fhir_medicationstatement_index')
    op.drop_index('fhir_medicationstatement_subject', table_name='fhir_medicationstatement', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_medicationstatement_source', table_name='fhir_medicationstatement', postgresql_where=sa.text('p_source IS NOT NULL'))
    op.drop_index('fhir_medicationstatement_patient_effective_desc', table_name='fhir_medicationstatement')
    op.drop_index('fhir_medicationstatement_medication', table_name='fhir_medicationstatement', postgresql_where=sa.text('p_medication IS NOT NULL'))
    op.drop_index('fhir_medicationstatement_last_updated', table_name='fhir_medicationstatement')
    op.drop_index('fhir_medicationstatement_context', table_name='fhir_medicationstatement', postgresql_where=sa.text('p_context IS NOT NULL'))
    op.drop_table('fhir_medicationstatement')
    op.drop_index('fhir_condition_number_value', table_name='fhir_condition_number')
    op.drop_index('fhir_condition_number_high', table_name='fhir_condition_number', postgresql_where=sa.text('low < high'))
    op.drop_table('fhir_condition_number')
    op.drop_index('fhir_condition_index_code', table_name='fhir_condition_index')
    op.drop_table('fhir_condition_index')
    op.drop_index('fhir_condition_subject', table_name='fhir_condition', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_condition_patient_recorded_date_desc', table_name='fhir_condition')
    op.drop_index('fhir_condition_last_updated', table_name='fhir_condition')
    op.drop_index('fhir_condition_encounter', table_name='fhir_condition', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_index('fhir_condition_asserter', table_name='fhir_condition', postgresql_where=sa.text('p_asserter IS NOT NULL'))
    op.drop_table('fhir_condition')
