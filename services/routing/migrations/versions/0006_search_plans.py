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
    op.drop_index(op.f('fhir_episodeofcare_patient_date'), table_name='fhir_episodeofcare')
    op.create_index('fhir_episodeofcare_care_manager', 'fhir_episodeofcare', ['tenant', 'p_care_manager', 'id'], unique=False, postgresql_where=sa.text('p_care_manager IS NOT NULL'))
    op.create_index('fhir_episodeofcare_last_updated', 'fhir_episodeofcare', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_episodeofcare_organization', 'fhir_episodeofcare', ['tenant', 'p_organization', 'id'], unique=False, postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.create_index('fhir_episodeofcare_patient_date_desc', 'fhir_episodeofcare', ['tenant', 'p_patient', sa.literal_column('p_date_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_patient_last_updated', 'fhir_patient', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_patient_organization', 'fhir_patient', ['tenant', 'p_organization', 'id'], unique=False, postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.create_index('fhir_plandefinition_last_updated', 'fhir_plandefinition', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_plandefinition_url', 'fhir_plandefinition', ['tenant', 'p_url', 'id'], unique=False, postgresql_where=sa.text('p_url IS NOT NULL'))
    op.create_index('fhir_plandefinition_number_high', 'fhir_plandefinition_number', ['tenant', 'parameter', 'key_code', 'high', 'id'], unique=False, postgresql_where=sa.text('low < high'))
    op.create_index('fhir_provenance_last_updated', 'fhir_provenance', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_provenance_location', 'fhir_provenance', ['tenant', 'p_location', 'id'], unique=False, postgresql_where=sa.text('p_location IS NOT NULL'))
    op.drop_index(op.f('fhir_servicerequest_patient_authored'), table_name='fhir_servicerequest')
    op.create_index('fhir_servicerequest_encounter', 'fhir_servicerequest', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_servicerequest_last_updated', 'fhir_servicerequest', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_servicerequest_patient_authored_desc', 'fhir_servicerequest', ['tenant', 'p_patient', sa.literal_column('p_authored_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_servicerequest_requester', 'fhir_servicerequest', ['tenant', 'p_requester', 'id'], unique=False, postgresql_where=sa.text('p_requester IS NOT NULL'))
    op.create_index('fhir_servicerequest_subject', 'fhir_servicerequest', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_index('fhir_subscription_last_updated', 'fhir_subscription', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_subscription_url', 'fhir_subscription', ['tenant', 'p_url', 'id'], unique=False, postgresql_where=sa.text('p_url IS NOT NULL'))



def downgrade() -> None:

    op.drop_index('fhir_subscription_url', table_name='fhir_subscription', postgresql_where=sa.text('p_url IS NOT NULL'))
    op.drop_index('fhir_subscription_last_updated', table_name='fhir_subscription')
    op.drop_index('fhir_servicerequest_subject', table_name='fhir_servicerequest', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_servicerequest_requester', table_name='fhir_servicerequest', postgresql_where=sa.text('p_requester IS NOT NULL'))
    op.drop_index('fhir_servicerequest_patient_authored_desc', table_name='fhir_servicerequest')
    op.drop_index('fhir_servicerequest_last_updated', table_name='fhir_servicerequest')
    op.drop_index('fhir_servicerequest_encounter', table_name='fhir_servicerequest', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index(op.f('fhir_servicerequest_patient_authored'), 'fhir_servicerequest', ['tenant', 'p_patient', 'p_authored_low', 'id'], unique=False)
    op.drop_index('fhir_provenance_location', table_name='fhir_provenance', postgresql_where=sa.text('p_location IS NOT NULL'))
    op.drop_index('fhir_provenance_last_updated', table_name='fhir_provenance')
    op.drop_index('fhir_plandefinition_number_high', table_name='fhir_plandefinition_number', postgresql_where=sa.text('low < high'))
    op.drop_index('fhir_plandefinition_url', table_name='fhir_plandefinition', postgresql_where=sa.text('p_url IS NOT NULL'))
    op.drop_index('fhir_plandefinition_last_updated', table_name='fhir_plandefinition')
    op.drop_index('fhir_patient_organization', table_name='fhir_patient', postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.drop_index('fhir_patient_last_updated', table_name='fhir_patient')
    op.drop_index('fhir_episodeofcare_patient_date_desc', table_name='fhir_episodeofcare')
    op.drop_index('fhir_episodeofcare_organization', table_name='fhir_episodeofcare', postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.drop_index('fhir_episodeofcare_last_updated', table_name='fhir_episodeofcare')
    op.drop_index('fhir_episodeofcare_care_manager', table_name='fhir_episodeofcare', postgresql_where=sa.text('p_care_manager IS NOT NULL'))
    op.create_index(op.f('fhir_episodeofcare_patient_date'), 'fhir_episodeofcare', ['tenant', 'p_patient', 'p_date_low', 'id'], unique=False)
    op.drop_table('search_shape')

