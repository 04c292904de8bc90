"""Partner organisations that figures go to, or come from"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0018_partners'
down_revision = '0017_improvement'
branch_labels = None
depends_on = None

FUNCTIONS = ('insert_partner', 'insert_partner_link')


def upgrade() -> None:
    op.create_table('partner',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('name', sa.Text(collation='C'), nullable=False),
    sa.Column('title', sa.Text(collation='C'), nullable=False),
    sa.Column('base_url', sa.Text(collation='C'), nullable=False),
    sa.Column('notifications_url', sa.Text(collation='C'), nullable=False),
    sa.Column('issuer_url', sa.Text(collation='C'), nullable=False),
    sa.Column('client_id', sa.Text(collation='C'), nullable=False),
    sa.Column('organization_there', sa.Text(collation='C'), nullable=False),
    sa.Column('subscription_there', sa.Text(collation='C'), nullable=False),
    sa.Column('place_there', sa.Text(collation='C'), nullable=False),
    sa.Column('refers_here', sa.Boolean(), nullable=False),
    sa.Column('referred_to', sa.Boolean(), nullable=False),
    sa.Column('shared', sa.Text(collation='C'), nullable=False),
    sa.Column('keys', sa.Text(collation='C'), server_default=sa.text("''"), nullable=False),
    sa.Column('taken_here', sa.Text(collation='C'), server_default=sa.text("''"), nullable=False),
    sa.Column('taken_there', sa.Text(collation='C'), server_default=sa.text("''"), nullable=False),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'name')
    )
    op.create_table('partner_link',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('name', sa.Text(collation='C'), nullable=False),
    sa.Column('heard_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'name')
    )


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_table('partner_link')
    op.drop_table('partner')
