"""The published figures of the dashboards"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0015_dashboards'
down_revision = '0014_exports'
branch_labels = None
depends_on = None

FUNCTIONS = ('insert_dashboard_sheet',)


def upgrade() -> None:
    op.create_table('dashboard_sheet',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('measure', sa.Text(collation='C'), nullable=False),
    sa.Column('made_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('start_on', sa.Date(), nullable=False),
    sa.Column('end_on', sa.Date(), nullable=False),
    sa.Column('body', sa.Text(collation='C'), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'measure')
    )


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_table('dashboard_sheet')
