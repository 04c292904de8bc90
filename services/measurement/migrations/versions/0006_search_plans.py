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
    op.add_column('fhir_observation', sa.Column('p_code', sa.Text(collation='C'), nullable=True))
    op.add_column('fhir_observation', sa.Column('p_code_system', sa.Text(collation='C'), nullable=True))
    op.add_column('fhir_observation', sa.Column('p_code_display', sa.Text(collation='C'), nullable=True))
    op.drop_index(op.f('fhir_observation_patient_date'), table_name='fhir_observation')
    op.create_index('fhir_observation_code_date_desc', 'fhir_observation', ['tenant', 'p_code', sa.literal_column('p_date_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_observation_date_desc', 'fhir_observation', ['tenant', sa.literal_column('p_date_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_observation_device', 'fhir_observation', ['tenant', 'p_device', 'id'], unique=False, postgresql_where=sa.text('p_device IS NOT NULL'))
    op.create_index('fhir_observation_encounter', 'fhir_observation', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_observation_last_updated', 'fhir_observation', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_observation_patient_code_date_desc', 'fhir_observation', ['tenant', 'p_patient', 'p_code', sa.literal_column('p_date_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_observation_specimen', 'fhir_observation', ['tenant', 'p_specimen', 'id'], unique=False, postgresql_where=sa.text('p_specimen IS NOT NULL'))
    op.create_index('fhir_observation_subject', 'fhir_observation', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_index('fhir_observation_number_high', 'fhir_observation_number', ['tenant', 'parameter', 'key_code', 'high', 'id'], unique=False, postgresql_where=sa.text('low < high'))
    op.create_index('fhir_patient_last_updated', 'fhir_patient', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_patient_organization', 'fhir_patient', ['tenant', 'p_organization', 'id'], unique=False, postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.create_index('fhir_provenance_last_updated', 'fhir_provenance', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_provenance_location', 'fhir_provenance', ['tenant', 'p_location', 'id'], unique=False, postgresql_where=sa.text('p_location IS NOT NULL'))
    op.create_index('fhir_subscription_last_updated', 'fhir_subscription', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_subscription_url', 'fhir_subscription', ['tenant', 'p_url', 'id'], unique=False, postgresql_where=sa.text('p_url IS NOT NULL'))



def downgrade() -> None:

    op.drop_index('fhir_subscription_url', table_name='fhir_subscription', postgresql_where=sa.text('p_url IS NOT NULL'))
    op.drop_index('fhir_subscription_last_updated', table_name='fhir_subscription')
    op.drop_index('fhir_provenance_location', table_name='fhir_provenance', postgresql_where=sa.text('p_location IS NOT NULL'))
    op.drop_index('fhir_provenance_last_updated', table_name='fhir_provenance')
    op.drop_index('fhir_patient_organization', table_name='fhir_patient', postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.drop_index('fhir_patient_last_updated', table_name='fhir_patient')
    op.drop_index('fhir_observation_number_high', table_name='fhir_observation_number', postgresql_where=sa.text('low < high'))
    op.drop_index('fhir_observation_subject', table_name='fhir_observation', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_observation_specimen', table_name='fhir_observation', postgresql_where=sa.text('p_specimen IS NOT NULL'))
    op.drop_index('fhir_observation_patient_code_date_desc', table_name='fhir_observation')
    op.drop_index('fhir_observation_last_updated', table_name='fhir_observation')
    op.drop_index('fhir_observation_encounter', table_name='fhir_observation', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_index('fhir_observation_device', table_name='fhir_observation', postgresql_where=sa.text('p_device IS NOT NULL'))
    op.drop_index('fhir_observation_date_desc', table_name='fhir_observation')
    op.drop_index('fhir_observation_code_date_desc', table_name='fhir_observation')
    op.create_index(op.f('fhir_observation_patient_date'), 'fhir_observation', ['tenant', 'p_patient', 'p_date_low', 'id'], unique=False)
    op.drop_column('fhir_observation', 'p_code_display')
    op.drop_column('fhir_observation', 'p_code_system')
    op.drop_column('fhir_observation', 'p_code')
    op.drop_table('search_shape')

