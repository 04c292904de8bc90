"""Reports that others wait for; rows of the outbox stay in one piece, being too small to be worth compressing"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0007_event_rows'
down_revision = '0006_search_plans'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('fhir_measurereport',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_measure', sa.Text(collation='C'), nullable=True),
    sa.Column('p_patient', sa.Text(collation='C'), nullable=True),
    sa.Column('p_period_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_period_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_reporter', sa.Text(collation='C'), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_subject', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_measurereport_last_updated', 'fhir_measurereport', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_measurereport_measure', 'fhir_measurereport', ['tenant', 'p_measure', 'id'], unique=False, postgresql_where=sa.text('p_measure IS NOT NULL'))
    op.create_index('fhir_measurereport_patient', 'fhir_measurereport', ['tenant', 'p_patient', 'id'], unique=False, postgresql_where=sa.text('p_patient IS NOT NULL'))
    op.create_index('fhir_measurereport_reporter', 'fhir_measurereport', ['tenant', 'p_reporter', 'id'], unique=False, postgresql_where=sa.text('p_reporter IS NOT NULL'))
    op.create_index('fhir_measurereport_subject', 'fhir_measurereport', ['tenant', 'p_subject', 'id'], unique=False, postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.create_table('fhir_measurereport_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_measurereport_index_code', 'fhir_measurereport_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.execute('ALTER TABLE outbox SET (toast_tuple_target = 8160)')


def downgrade() -> None:
    op.execute('ALTER TABLE outbox RESET (toast_tuple_target)')
    op.drop_index('fhir_measurereport_index_code', table_name='fhir_measurereport_index')
    op.drop_table('fhir_measurereport_index')
    op.drop_index('fhir_measurereport_subject', table_name='fhir_measurereport', postgresql_where=sa.text('p_subject IS NOT NULL AND p_patient IS NULL'))
    op.drop_index('fhir_measurereport_reporter', table_name='fhir_measurereport', postgresql_where=sa.text('p_reporter IS NOT NULL'))
    op.drop_index('fhir_measurereport_patient', table_name='fhir_measurereport', postgresql_where=sa.text('p_patient IS NOT NULL'))
    op.drop_index('fhir_measurereport_measure', table_name='fhir_measurereport', postgresql_where=sa.text('p_measure IS NOT NULL'))
    op.drop_index('fhir_measurereport_last_updated', table_name='fhir_measurereport')
    op.drop_table('fhir_measurereport')
