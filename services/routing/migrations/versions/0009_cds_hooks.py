"""Who may ask for CDS cards, which were shown, and what became of them"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0009_cds_hooks'
down_revision = '0008_consents'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('cds_client',
    sa.Column('issuer', sa.Text(collation='C'), nullable=False),
    sa.Column('organisation', sa.Text(collation='C'), nullable=False),
    sa.Column('serves', sa.Text(collation='C'), nullable=False),
    sa.Column('jwks', sa.Text(collation='C'), nullable=True),
    sa.Column('jwks_url', sa.Text(collation='C'), nullable=True),
    sa.Column('patient_system', sa.Text(collation='C'), nullable=True),
    sa.Column('app_url', sa.Text(collation='C'), nullable=True),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('issuer', 'organisation')
    )
    op.create_table('cds_card',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('service', sa.Text(collation='C'), nullable=False),
    sa.Column('rule', sa.Text(collation='C'), nullable=False),
    sa.Column('issuer', sa.Text(collation='C'), nullable=False),
    sa.Column('issued_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('cds_card_issued', 'cds_card', ['tenant', 'issued_at'], unique=False)
    op.create_table('cds_feedback',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('card', sa.Text(collation='C'), nullable=False),
    sa.Column('outcome', sa.Text(collation='C'), nullable=False),
    sa.Column('reason', sa.Text(collation='C'), nullable=False),
    sa.Column('given_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('received_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'card')
    )


def downgrade() -> None:
    for function in (
        'admit_cds_call(text, text, bytea, timestamptz, timestamptz)',
        'patients_identified(text, text, text)',
        'cds_cards_shown(text, text[])',
        'keep_cds_feedback(text, text[], text[], text[], timestamptz[], timestamptz)',
        'cds_rates(text, timestamptz)',
    ):
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_table('cds_feedback')
    op.drop_index('cds_card_issued', table_name='cds_card')
    op.drop_table('cds_card')
    op.drop_table('cds_client')
