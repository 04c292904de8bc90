"""Delivery: heartbeats, the state that a Subscription shows, and indexes of what is still owed or missing"""

import sqlalchemy as sa
from alembic import op

revision = '0002_delivery'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('subscription_state', sa.Column('heartbeat_seconds', sa.Integer(), nullable=True))
    op.add_column('subscription_state', sa.Column('last_sent_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False))
    op.add_column('subscription_state', sa.Column('resource_outdated', sa.Boolean(), server_default=sa.text('true'), nullable=False))
    op.create_index('subscription_event_parked', 'subscription_event', ['tenant', 'subscription_id', 'event_number'], unique=False, postgresql_where=sa.text("status = 'parked'"))
    op.create_index('subscription_event_owed', 'subscription_event', ['tenant', 'outbox_position'], unique=False, postgresql_where=sa.text("status IN ('waiting', 'parked')"))
    op.create_index('received_event_missing', 'received_event', ['tenant', 'subscription', 'event_number'], unique=False, postgresql_where=sa.text("status = 'missing'"))
    # Its rows have one more column now; the next step of the migration makes it anew.
    op.execute('DROP FUNCTION IF EXISTS take_events(text, text, text, float8, integer)')


def downgrade() -> None:
    op.execute('DROP FUNCTION IF EXISTS take_events(text, text, text, float8, integer)')
    op.drop_index('received_event_missing', table_name='received_event')
    op.drop_index('subscription_event_owed', table_name='subscription_event')
    op.drop_index('subscription_event_parked', table_name='subscription_event')
    op.drop_column('subscription_state', 'resource_outdated')
    op.drop_column('subscription_state', 'last_sent_at')
    op.drop_column('subscription_state', 'heartbeat_seconds')
