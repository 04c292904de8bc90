"""Code systems and value sets are served: our own and those of a tenant"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0010_terminology'
down_revision = '0009_form_links'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('fhir_codesystem',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_url', sa.Text(collation='C'), nullable=True),
    sa.Column('p_version', sa.Text(collation='C'), nullable=True),
    sa.Column('p_content_mode', sa.Text(collation='C'), nullable=True),
    sa.Column('p_supplements', sa.Text(collation='C'), nullable=True),
    sa.Column('p_system', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_codesystem_last_updated', 'fhir_codesystem', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_codesystem_supplements', 'fhir_codesystem', ['tenant', 'p_supplements', 'id'], unique=False, postgresql_where=sa.text('p_supplements IS NOT NULL'))
    op.create_index('fhir_codesystem_system', 'fhir_codesystem', ['tenant', 'p_system', 'id'], unique=False, postgresql_where=sa.text('p_system IS NOT NULL'))
    op.create_index('fhir_codesystem_url', 'fhir_codesystem', ['tenant', 'p_url', 'id'], unique=False, postgresql_where=sa.text('p_url IS NOT NULL'))
    op.create_table('fhir_codesystem_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_codesystem_index_code', 'fhir_codesystem_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_codesystem_number',
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
    op.create_index('fhir_codesystem_number_high', 'fhir_codesystem_number', ['tenant', 'parameter', 'key_code', 'high', 'id'], unique=False, postgresql_where=sa.text('low < high'))
    op.create_index('fhir_codesystem_number_value', 'fhir_codesystem_number', ['tenant', 'parameter', 'key_code', 'low', 'id'], unique=False)
    op.create_table('fhir_valueset',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_url', sa.Text(collation='C'), nullable=True),
    sa.Column('p_version', sa.Text(collation='C'), nullable=True),
    sa.Column('p_expansion', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_valueset_expansion', 'fhir_valueset', ['tenant', 'p_expansion', 'id'], unique=False, postgresql_where=sa.text('p_expansion IS NOT NULL'))
    op.create_index('fhir_valueset_last_updated', 'fhir_valueset', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_valueset_url', 'fhir_valueset', ['tenant', 'p_url', 'id'], unique=False, postgresql_where=sa.text('p_url IS NOT NULL'))
    op.create_table('fhir_valueset_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_valueset_index_code', 'fhir_valueset_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_valueset_number',
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
    op.create_index('fhir_valueset_number_high', 'fhir_valueset_number', ['tenant', 'parameter', 'key_code', 'high', 'id'], unique=False, postgresql_where=sa.text('low < high'))
    op.create_index('fhir_valueset_number_value', 'fhir_valueset_number', ['tenant', 'parameter', 'key_code', 'low', 'id'], unique=False)


def downgrade() -> None:
    op.drop_table('fhir_valueset_number')
    op.drop_table('fhir_valueset_index')
    op.drop_table('fhir_valueset')
    op.drop_table('fhir_codesystem_number')
    op.drop_table('fhir_codesystem_index')
    op.drop_table('fhir_codesystem')
