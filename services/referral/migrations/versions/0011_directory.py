"""The directory: who gives care, where and how to reach them; forms about wishes and about staff"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0011_directory'
down_revision = '0010_loop'
branch_labels = None
depends_on = None

FUNCTIONS = (
    'insert_directory_revision(text, text[])',
    'read_person(text, text[], text)',
    'read_directory(text, text[])',
    'read_queues(text, text[])',
)


def upgrade() -> None:
    op.create_table('directory_revision',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('changed', sa.Text(collation='C'), nullable=False),
    sa.Column('revision', sa.BigInteger(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('tenant')
    )
    op.create_table('fhir_endpoint',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_organization', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_endpoint_last_updated', 'fhir_endpoint', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_endpoint_organization', 'fhir_endpoint', ['tenant', 'p_organization', 'id'], unique=False, postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.create_table('fhir_endpoint_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_endpoint_index_code', 'fhir_endpoint_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_location',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_address_use', sa.Text(collation='C'), nullable=True),
    sa.Column('p_organization', sa.Text(collation='C'), nullable=True),
    sa.Column('p_partof', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_location_last_updated', 'fhir_location', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_location_organization', 'fhir_location', ['tenant', 'p_organization', 'id'], unique=False, postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.create_index('fhir_location_partof', 'fhir_location', ['tenant', 'p_partof', 'id'], unique=False, postgresql_where=sa.text('p_partof IS NOT NULL'))
    op.create_table('fhir_location_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_location_index_code', 'fhir_location_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_practitioner',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_active', sa.Text(collation='C'), nullable=True),
    sa.Column('p_gender', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_practitioner_last_updated', 'fhir_practitioner', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_table('fhir_practitioner_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_practitioner_index_code', 'fhir_practitioner_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_practitionerrole',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_active', sa.Text(collation='C'), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_organization', sa.Text(collation='C'), nullable=True),
    sa.Column('p_practitioner', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_practitionerrole_last_updated', 'fhir_practitionerrole', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_practitionerrole_organization', 'fhir_practitionerrole', ['tenant', 'p_organization', 'id'], unique=False, postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.create_index('fhir_practitionerrole_practitioner', 'fhir_practitionerrole', ['tenant', 'p_practitioner', 'id'], unique=False, postgresql_where=sa.text('p_practitioner IS NOT NULL'))
    op.create_table('fhir_practitionerrole_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_practitionerrole_index_code', 'fhir_practitionerrole_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_questionnaireresponse',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_author', sa.Text(collation='C'), nullable=True),
    sa.Column('p_authored_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_authored_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_encounter', sa.Text(collation='C'), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_questionnaire', sa.Text(collation='C'), nullable=True),
    sa.Column('p_source', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_questionnaireresponse_author', 'fhir_questionnaireresponse', ['tenant', 'p_author', 'id'], unique=False, postgresql_where=sa.text('p_author IS NOT NULL'))
    op.create_index('fhir_questionnaireresponse_encounter', 'fhir_questionnaireresponse', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_questionnaireresponse_last_updated', 'fhir_questionnaireresponse', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_questionnaireresponse_patient_authored_desc', 'fhir_questionnaireresponse', ['tenant', 'p_patient', sa.literal_column('p_authored_low DESC NULLS LAST'), sa.literal_column('id DESC')], unique=False)
    op.create_index('fhir_questionnaireresponse_questionnaire', 'fhir_questionnaireresponse', ['tenant', 'p_questionnaire', 'id'], unique=False, postgresql_where=sa.text('p_questionnaire IS NOT NULL'))
    op.create_index('fhir_questionnaireresponse_source', 'fhir_questionnaireresponse', ['tenant', 'p_source', 'id'], unique=False, postgresql_where=sa.text('p_source IS NOT NULL'))
    op.create_index('fhir_questionnaireresponse_subject', 'fhir_questionnaireresponse', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_questionnaireresponse_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_questionnaireresponse_index_code', 'fhir_questionnaireresponse_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_index('fhir_questionnaireresponse_index_code', table_name='fhir_questionnaireresponse_index')
    op.drop_table('fhir_questionnaireresponse_index')
    op.drop_index('fhir_questionnaireresponse_subject', table_name='fhir_questionnaireresponse', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_questionnaireresponse_source', table_name='fhir_questionnaireresponse', postgresql_where=sa.text('p_source IS NOT NULL'))
    op.drop_index('fhir_questionnaireresponse_questionnaire', table_name='fhir_questionnaireresponse', postgresql_where=sa.text('p_questionnaire IS NOT NULL'))
    op.drop_index('fhir_questionnaireresponse_patient_authored_desc', table_name='fhir_questionnaireresponse')
    op.drop_index('fhir_questionnaireresponse_last_updated', table_name='fhir_questionnaireresponse')
    op.drop_index('fhir_questionnaireresponse_encounter', table_name='fhir_questionnaireresponse', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_index('fhir_questionnaireresponse_author', table_name='fhir_questionnaireresponse', postgresql_where=sa.text('p_author IS NOT NULL'))
    op.drop_table('fhir_questionnaireresponse')
    op.drop_index('fhir_practitionerrole_index_code', table_name='fhir_practitionerrole_index')
    op.drop_table('fhir_practitionerrole_index')
    op.drop_index('fhir_practitionerrole_practitioner', table_name='fhir_practitionerrole', postgresql_where=sa.text('p_practitioner IS NOT NULL'))
    op.drop_index('fhir_practitionerrole_organization', table_name='fhir_practitionerrole', postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.drop_index('fhir_practitionerrole_last_updated', table_name='fhir_practitionerrole')
    op.drop_table('fhir_practitionerrole')
    op.drop_index('fhir_practitioner_index_code', table_name='fhir_practitioner_index')
    op.drop_table('fhir_practitioner_index')
    op.drop_index('fhir_practitioner_last_updated', table_name='fhir_practitioner')
    op.drop_table('fhir_practitioner')
    op.drop_index('fhir_location_index_code', table_name='fhir_location_index')
    op.drop_table('fhir_location_index')
    op.drop_index('fhir_location_partof', table_name='fhir_location', postgresql_where=sa.text('p_partof IS NOT NULL'))
    op.drop_index('fhir_location_organization', table_name='fhir_location', postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.drop_index('fhir_location_last_updated', table_name='fhir_location')
    op.drop_table('fhir_location')
    op.drop_index('fhir_endpoint_index_code', table_name='fhir_endpoint_index')
    op.drop_table('fhir_endpoint_index')
    op.drop_index('fhir_endpoint_organization', table_name='fhir_endpoint', postgresql_where=sa.text('p_organization IS NOT NULL'))
    op.drop_index('fhir_endpoint_last_updated', table_name='fhir_endpoint')
    op.drop_table('fhir_endpoint')
    op.drop_table('directory_revision')
