"""The order in which versions were written, for the history of types and of everything"""

import sqlalchemy as sa
from alembic import op
from stepwell_shared.database.transaction_id import Xid8

revision = '0004_history_order'
down_revision = '0003_idempotency'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('fhir_version', sa.Column('transaction', Xid8(), server_default=sa.text('pg_current_xact_id()'), nullable=False))
    op.create_index('fhir_version_order', 'fhir_version', ['tenant', 'resource_type', 'transaction', 'last_updated'], unique=False)


def downgrade() -> None:
    op.execute('DROP FUNCTION IF EXISTS read_history(text, text[], timestamptz, timestamptz, timestamptz, text, timestamptz, text, text, integer, integer)')
    op.execute('DROP FUNCTION IF EXISTS history_floor(text, text, timestamptz)')
    op.execute('DROP FUNCTION IF EXISTS read_versions(text, text, text, integer, integer, timestamptz, timestamptz, timestamptz, integer)')
    op.drop_index('fhir_version_order', table_name='fhir_version')
    op.drop_column('fhir_version', 'transaction')
