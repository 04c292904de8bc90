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
    op.create_index('fhir_healthcareservice_last_updated', 'fhir_healthcareservice', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_healthcareservice_organization', 'fhir_healthcareservice', ['tenant', 'p_organization', 'id'], unique=False, postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.create_index('fhir_organization_last_updated', 'fhir_organization', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_organization_partof', 'fhir_organization', ['tenant', 'p_partof', 'id'], unique=False, postgresql_where=sa.text('p_partof IS NOT NULL'))
    op.create_index('fhir_patient_last_updated', 'fhir_patient', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_patient_organization', 'fhir_patient', ['tenant', 'p_organization', 'id'], unique=False, postgresql_where=sa.text('p_organization IS NOT NULL'))
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
    op.drop_index(op.f('fhir_task_patient_authored_on'), table_name='fhir_task')
    op.create_index('fhir_task_encounter', 'fhir_task', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_task_focus', 'fhir_task', ['tenant', 'p_focus', 'id'], unique=False, postgresql_where=sa.text('p_focus IS NOT NULL'))
    op.create_index('fhir_task_last_updated', 'fhir_task', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_task_patient_authored_on_desc', 'fhir_task', ['tenant', 'p_patient', sa.literal_column('p_authored_on_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_task_requester', 'fhir_task', ['tenant', 'p_requester', 'id'], unique=False, postgresql_where=sa.text('p_requester IS NOT NULL'))
    op.create_index('fhir_task_subject', 'fhir_task', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))



def downgrade() -> None:

    op.drop_index('fhir_task_subject', table_name='fhir_task', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_task_requester', table_name='fhir_task', postgresql_where=sa.text('p_requester IS NOT NULL'))
    op.drop_index('fhir_task_patient_authored_on_desc', table_name='fhir_task')
    op.drop_index('fhir_task_last_updated', table_name='fhir_task')
    op.drop_index('fhir_task_focus', table_name='fhir_task', postgresql_where=sa.text('p_focus IS NOT NULL'))
    op.drop_index('fhir_task_encounter', table_name='fhir_task', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index(op.f('fhir_task_patient_authored_on'), 'fhir_task', ['tenant', 'p_patient', 'p_authored_on_low', 'id'], unique=False)
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
    op.drop_index('fhir_patient_organization', table_name='fhir_patient', postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.drop_index('fhir_patient_last_updated', table_name='fhir_patient')
    op.drop_index('fhir_organization_partof', table_name='fhir_organization', postgresql_where=sa.text('p_partof IS NOT NULL'))
    op.drop_index('fhir_organization_last_updated', table_name='fhir_organization')
    op.drop_index('fhir_healthcareservice_organization', table_name='fhir_healthcareservice', postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.drop_index('fhir_healthcareservice_last_updated', table_name='fhir_healthcareservice')
    op.drop_table('search_shape')

