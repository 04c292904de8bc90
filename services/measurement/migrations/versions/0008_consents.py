"""Consents, and subscribers who are told under them alone"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0008_consents'
down_revision = '0007_event_rows'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # These answer with another shape from now on.
    op.execute('DROP FUNCTION IF EXISTS take_events(text, text, text, float8, integer)')
    op.execute('DROP FUNCTION IF EXISTS subscription_standing(text[], text[])')
    op.execute('DROP FUNCTION IF EXISTS numbered_events(text, text, bigint, bigint, integer)')
    op.add_column('subscription_state', sa.Column('actor', sa.Text(collation='C'), server_default='', nullable=False))
    op.alter_column('subscription_state', 'actor', server_default=None)
    op.create_table('fhir_consent',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_period_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_period_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_source_reference', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_consent_last_updated', 'fhir_consent', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_consent_patient_status', 'fhir_consent', ['tenant', 'p_patient', 'p_status', 'id'], unique=False)
    op.create_index('fhir_consent_source_reference', 'fhir_consent', ['tenant', 'p_source_reference', 'id'], unique=False, postgresql_where=sa.text('p_source_reference IS NOT NULL'))
    op.create_table('fhir_consent_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_consent_index_code', 'fhir_consent_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)


def downgrade() -> None:
    op.execute('DROP FUNCTION IF EXISTS take_events(text, text, text, float8, integer)')
    op.execute('DROP FUNCTION IF EXISTS subscription_standing(text[], text[])')
    op.execute('DROP FUNCTION IF EXISTS numbered_events(text, text, bigint, bigint, integer)')
    op.execute('DROP FUNCTION IF EXISTS subscriptions_of(text, text)')
    op.drop_column('subscription_state', 'actor')
    op.drop_index('fhir_consent_index_code', table_name='fhir_consent_index')
    op.drop_table('fhir_consent_index')
    op.drop_index('fhir_consent_source_reference', table_name='fhir_consent', postgresql_where=sa.text('p_source_reference IS NOT NULL'))
    op.drop_index('fhir_consent_patient_status', table_name='fhir_consent')
    op.drop_index('fhir_consent_last_updated', table_name='fhir_consent')
    op.drop_table('fhir_consent')
