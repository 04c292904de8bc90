"""Indexes that bound what a search costs, and a concept of one coding in columns."""

import sqlalchemy as sa
from alembic import op


revision = '0006_search_plans'
down_revision = '0005_search_values'
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table('search_shape',
    sa.Column('resource_type', sa.Text(collation='C'), nullable=False),
    sa.Column('shape', sa.Text(collation='C'), nullable=False),
    sa.PrimaryKeyConstraint('resource_type')
    )
    op.create_index('fhir_flag_author', 'fhir_flag', ['tenant', 'p_author', 'id'], unique=False, postgresql_where=sa.text('p_author IS NOT NULL'))
    op.create_index('fhir_flag_encounter', 'fhir_flag', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_flag_last_updated', 'fhir_flag', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_flag_subject', 'fhir_flag', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_index('fhir_patient_last_updated', 'fhir_patient', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_patient_organization', 'fhir_patient', ['tenant', 'p_organization', 'id'], unique=False, postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.create_index('fhir_provenance_last_updated', 'fhir_provenance', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_provenance_location', 'fhir_provenance', ['tenant', 'p_location', 'id'], unique=False, postgresql_where=sa.text('p_location IS NOT NULL'))
    op.create_index('fhir_questionnaire_last_updated', 'fhir_questionnaire', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_questionnaire_url', 'fhir_questionnaire', ['tenant', 'p_url', 'id'], unique=False, postgresql_where=sa.text('p_url IS NOT NULL'))
    op.create_index('fhir_questionnaire_number_high', 'fhir_questionnaire_number', ['tenant', 'parameter', 'key_code', 'high', 'id'], unique=False, postgresql_where=sa.text('low < high'))
    op.drop_index(op.f('fhir_questionnaireresponse_patient_authored'), table_name='fhir_questionnaireresponse')
    op.create_index('fhir_questionnaireresponse_author', 'fhir_questionnaireresponse', ['tenant', 'p_author', 'id'], unique=False, postgresql_where=sa.text('p_author IS NOT NULL'))
    op.create_index('fhir_questionnaireresponse_encounter', 'fhir_questionnaireresponse', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_questionnaireresponse_last_updated', 'fhir_questionnaireresponse', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_questionnaireresponse_patient_authored_desc', 'fhir_questionnaireresponse', ['tenant', 'p_patient', sa.literal_column('p_authored_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_questionnaireresponse_questionnaire', 'fhir_questionnaireresponse', ['tenant', 'p_questionnaire', 'id'], unique=False, postgresql_where=sa.text('p_questionnaire IS NOT NULL'))
    op.create_index('fhir_questionnaireresponse_source', 'fhir_questionnaireresponse', ['tenant', 'p_source', 'id'], unique=False, postgresql_where=sa.text('p_source IS NOT NULL'))
    op.create_index('fhir_questionnaireresponse_subject', 'fhir_questionnaireresponse', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index(op.f('fhir_riskassessment_patient_date'), table_name='fhir_riskassessment')
    op.create_index('fhir_riskassessment_condition', 'fhir_riskassessment', ['tenant', 'p_condition', 'id'], unique=False, postgresql_where=sa.text('p_condition IS NOT NULL'))
    op.create_index('fhir_riskassessment_encounter', 'fhir_riskassessment', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_riskassessment_last_updated', 'fhir_riskassessment', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_riskassessment_patient_date_desc', 'fhir_riskassessment', ['tenant', 'p_patient', sa.literal_column('p_date_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_riskassessment_performer', 'fhir_riskassessment', ['tenant', 'p_performer', 'id'], unique=False, postgresql_where=sa.text('p_performer IS NOT NULL'))
    op.create_index('fhir_riskassessment_subject', 'fhir_riskassessment', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_index('fhir_riskassessment_number_high', 'fhir_riskassessment_number', ['tenant', 'parameter', 'key_code', 'high', 'id'], unique=False, postgresql_where=sa.text('low < high'))
    op.create_index('fhir_subscription_last_updated', 'fhir_subscription', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_subscription_url', 'fhir_subscription', ['tenant', 'p_url', 'id'], unique=False, postgresql_where=sa.text('p_url IS NOT NULL'))
    op.drop_index(op.f('fhir_task_patient_authored_on'), table_name='fhir_task')
    op.create_index('fhir_task_encounter', 'fhir_task', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_task_focus', 'fhir_task', ['tenant', 'p_focus', 'id'], unique=False, postgresql_where=sa.text('p_focus IS NOT NULL'))
    op.create_index('fhir_task_last_updated', 'fhir_task', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_task_owner', 'fhir_task', ['tenant', 'p_owner', 'id'], unique=False, postgresql_where=sa.text('p_owner IS NOT NULL'))
    op.create_index('fhir_task_patient_authored_on_desc', 'fhir_task', ['tenant', 'p_patient', sa.literal_column('p_authored_on_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_task_requester', 'fhir_task', ['tenant', 'p_requester', 'id'], unique=False, postgresql_where=sa.text('p_requester IS NOT NULL'))
    op.create_index('fhir_task_subject', 'fhir_task', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))



def downgrade() -> None:

    op.drop_index('fhir_task_subject', table_name='fhir_task', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_task_requester', table_name='fhir_task', postgresql_where=sa.text('p_requester IS NOT NULL'))
    op.drop_index('fhir_task_patient_authored_on_desc', table_name='fhir_task')
    op.drop_index('fhir_task_owner', table_name='fhir_task', postgresql_where=sa.text('p_owner IS NOT NULL'))
    op.drop_index('fhir_task_last_updated', table_name='fhir_task')
    op.drop_index('fhir_task_focus', table_name='fhir_task', postgresql_where=sa.text('p_focus IS NOT NULL'))
    op.drop_index('fhir_task_encounter', table_name='fhir_task', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index(op.f('fhir_task_patient_authored_on'), 'fhir_task', ['tenant', 'p_patient', 'p_authored_on_low', 'id'], unique=False)
    op.drop_index('fhir_subscription_url', table_name='fhir_subscription', postgresql_where=sa.text('p_url IS NOT NULL'))
    op.drop_index('fhir_subscription_last_updated', table_name='fhir_subscription')
    op.drop_index('fhir_riskassessment_number_high', table_name='fhir_riskassessment_number', postgresql_where=sa.text('low < high'))
    op.drop_index('fhir_riskassessment_subject', table_name='fhir_riskassessment', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_riskassessment_performer', table_name='fhir_riskassessment', postgresql_where=sa.text('p_performer IS NOT NULL'))
    op.drop_index('fhir_riskassessment_patient_date_desc', table_name='fhir_riskassessment')
    op.drop_index('fhir_riskassessment_last_updated', table_name='fhir_riskassessment')
    op.drop_index('fhir_riskassessment_encounter', table_name='fhir_riskassessment', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_index('fhir_riskassessment_condition', table_name='fhir_riskassessment', postgresql_where=sa.text('p_condition IS NOT NULL'))
    op.create_index(op.f('fhir_riskassessment_patient_date'), 'fhir_riskassessment', ['tenant', 'p_patient', 'p_date_low', 'id'], unique=False)
    op.drop_index('fhir_questionnaireresponse_subject', table_name='fhir_questionnaireresponse', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_questionnaireresponse_source', table_name='fhir_questionnaireresponse', postgresql_where=sa.text('p_source IS NOT NULL'))
    op.drop_index('fhir_questionnaireresponse_questionnaire', table_name='fhir_questionnaireresponse', postgresql_where=sa.text('p_questionnaire IS NOT NULL'))
    op.drop_index('fhir_questionnaireresponse_patient_authored_desc', table_name='fhir_questionnaireresponse')
    op.drop_index('fhir_questionnaireresponse_last_updated', table_name='fhir_questionnaireresponse')
    op.drop_index('fhir_questionnaireresponse_encounter', table_name='fhir_questionnaireresponse', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_index('fhir_questionnaireresponse_author', table_name='fhir_questionnaireresponse', postgresql_where=sa.text('p_author IS NOT NULL'))
    op.create_index(op.f('fhir_questionnaireresponse_patient_authored'), 'fhir_questionnaireresponse', ['tenant', 'p_patient', 'p_authored_low', 'id'], unique=False)
    op.drop_index('fhir_questionnaire_number_high', table_name='fhir_questionnaire_number', postgresql_where=sa.text('low < high'))
    op.drop_index('fhir_questionnaire_url', table_name='fhir_questionnaire', postgresql_where=sa.text('p_url IS NOT NULL'))
    op.drop_index('fhir_questionnaire_last_updated', table_name='fhir_questionnaire')
    op.drop_index('fhir_provenance_location', table_name='fhir_provenance', postgresql_where=sa.text('p_location IS NOT NULL'))
    op.drop_index('fhir_provenance_last_updated', table_name='fhir_provenance')
    op.drop_index('fhir_patient_organization', table_name='fhir_patient', postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.drop_index('fhir_patient_last_updated', table_name='fhir_patient')
    op.drop_index('fhir_flag_subject', table_name='fhir_flag', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_flag_last_updated', table_name='fhir_flag')
    op.drop_index('fhir_flag_encounter', table_name='fhir_flag', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_index('fhir_flag_author', table_name='fhir_flag', postgresql_where=sa.text('p_author IS NOT NULL'))
    op.drop_table('search_shape')

