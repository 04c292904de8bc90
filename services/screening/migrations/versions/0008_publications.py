"""Which url and version each published Questionnaire took, and who attested the right to use it"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0008_publications'
down_revision = '0007_event_rows'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('publication',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('url', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Text(collation='C'), nullable=False),
    sa.Column('questionnaire_id', sa.Text(collation='C'), nullable=False),
    sa.Column('published', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('published_by', sa.Text(collation='C'), nullable=False),
    sa.Column('instrument', sa.Text(collation='C'), nullable=True),
    sa.Column('attested_by', sa.Text(collation='C'), nullable=True),
    sa.Column('licence', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'url', 'version')
    )


def downgrade() -> None:
    op.execute('DROP FUNCTION IF EXISTS read_publications(text, text[], boolean)')
    op.drop_table('publication')
