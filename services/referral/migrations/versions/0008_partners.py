"""Partner organisations"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0008_partners'
down_revision = '0007_event_rows'
branch_labels = None
depends_on = None


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
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'name')
    )


def downgrade() -> None:
    op.drop_table('partner')
