"""Groups of people to go to"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0016_outreach'
down_revision = '0015_dashboards'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('fhir_group',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_actual', sa.Text(collation='C'), nullable=True),
    sa.Column('p_managing_entity', sa.Text(collation='C'), nullable=True),
    sa.Column('p_type', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_group_last_updated', 'fhir_group', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_group_managing_entity', 'fhir_group', ['tenant', 'p_managing_entity', 'id'], unique=False, postgresql_where=sa.text('p_managing_entity IS NOT NULL'))
    op.create_table('fhir_group_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_group_index_code', 'fhir_group_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_group_number',
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
    op.create_index('fhir_group_number_high', 'fhir_group_number', ['tenant', 'parameter', 'key_code', 'high', 'id'], unique=False, postgresql_where=sa.text('low < high'))
    op.create_index('fhir_group_number_value', 'fhir_group_number', ['tenant', 'parameter', 'key_code', 'low', 'id'], unique=False)


def downgrade() -> None:
    op.drop_index('fhir_group_number_value', table_name='fhir_group_number')
    op.drop_index('fhir_group_number_high', table_name='fhir_group_number', postgresql_where=sa.text('low < high'))
    op.drop_table('fhir_group_number')
    op.drop_index('fhir_group_index_code', table_name='fhir_group_index')
    op.drop_table('fhir_group_index')
    op.drop_index('fhir_group_managing_entity', table_name='fhir_group', postgresql_where=sa.text('p_managing_entity IS NOT NULL'))
    op.drop_index('fhir_group_last_updated', table_name='fhir_group')
    op.drop_table('fhir_group')
