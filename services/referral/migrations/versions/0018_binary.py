"""Content of documents as it came"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0018_binary'
down_revision = '0016_exports'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('fhir_binary',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_binary_last_updated', 'fhir_binary', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_table('fhir_binary_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_binary_index_code', 'fhir_binary_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)


def downgrade() -> None:
    op.drop_index('fhir_binary_index_code', table_name='fhir_binary_index')
    op.drop_table('fhir_binary_index')
    op.drop_index('fhir_binary_last_updated', table_name='fhir_binary')
    op.drop_table('fhir_binary')
