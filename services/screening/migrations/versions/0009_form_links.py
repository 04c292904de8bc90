"""One-time links that open a form without an account"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0009_form_links'
down_revision = '0008_publications'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('form_link',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('questionnaire_id', sa.Text(collation='C'), nullable=False),
    sa.Column('questionnaire', sa.Text(collation='C'), nullable=False),
    sa.Column('subject', sa.Text(collation='C'), nullable=False),
    sa.Column('task', sa.Text(collation='C'), nullable=False),
    sa.Column('author', sa.Text(collation='C'), nullable=False),
    sa.Column('attempts', sa.SmallInteger(), nullable=False),
    sa.Column('created_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('expires_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )


def downgrade() -> None:
    op.drop_table('form_link')
