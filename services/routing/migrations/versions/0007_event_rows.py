"""Rows of the outbox stay in one piece: what little they copy is not worth the time of compressing it"""

from alembic import op

revision = '0007_event_rows'
down_revision = '0006_search_plans'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute('ALTER TABLE outbox SET (toast_tuple_target = 8160)')


def downgrade() -> None:
    op.execute('ALTER TABLE outbox RESET (toast_tuple_target)')
