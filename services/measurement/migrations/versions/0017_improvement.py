"""What people suggest, and what a board decides about it"""

import sqlalchemy as sa
from alembic import op

revision = '0017_improvement'
down_revision = '0016_outreach'
branch_labels = None
depends_on = None

FUNCTIONS = ('insert_board_decision', 'insert_suggestion')


def upgrade() -> None:
    op.create_table('board_decision',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('said', sa.Text(collation='C'), nullable=False),
    sa.Column('done', sa.Text(collation='C'), nullable=False),
    sa.Column('decided_on', sa.Date(), nullable=False),
    sa.Column('standing', sa.Text(collation='C'), nullable=False),
    sa.Column('language', sa.Text(collation='C'), nullable=False),
    sa.Column('measure', sa.Text(collation='C'), nullable=False),
    sa.Column('suggestion', sa.Text(collation='C'), nullable=False),
    sa.Column('is_public', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'id', 'version')
    )
    op.create_table('suggestion',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('received_on', sa.Date(), nullable=False),
    sa.Column('language', sa.Text(collation='C'), nullable=False),
    sa.Column('text', sa.Text(collation='C'), nullable=False),
    sa.Column('status', sa.Text(collation='C'), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_table('suggestion')
    op.drop_table('board_decision')
