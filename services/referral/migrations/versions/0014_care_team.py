"""The team of a person"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0014_care_team'
down_revision = '0013_promises'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('fhir_careteam',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_encounter', sa.Text(collation='C'), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_careteam_encounter', 'fhir_careteam', ['tenant', 'p_encounter', 'id'], unique=False, postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.create_index('fhir_careteam_last_updated', 'fhir_careteam', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_careteam_patient_status', 'fhir_careteam', ['tenant', 'p_patient', 'p_status', 'id'], unique=False)
    op.create_index('fhir_careteam_subject', 'fhir_careteam', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_careteam_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_careteam_index_code', 'fhir_careteam_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)


def downgrade() -> None:
    op.drop_index('fhir_careteam_index_code', table_name='fhir_careteam_index')
    op.drop_table('fhir_careteam_index')
    op.drop_index('fhir_careteam_subject', table_name='fhir_careteam', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_careteam_patient_status', table_name='fhir_careteam')
    op.drop_index('fhir_careteam_last_updated', table_name='fhir_careteam')
    op.drop_index('fhir_careteam_encounter', table_name='fhir_careteam', postgresql_where=sa.text('p_encounter IS NOT NULL'))
    op.drop_table('fhir_careteam')
