"""Where everybody stands on each instrument, one row each, in place of the steps of series; episodes of care"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0009_trajectories'
down_revision = '0008_consents'
branch_labels = None
depends_on = None

# What was told last is kept, and which Observations there were: the next score of a series brings its row up to date.
KEEP_SERIES = """
INSERT INTO trajectory (tenant, person, code, number, recorded, told, series)
  SELECT s.tenant, s.person, s.code, max(s.number), max(s.recorded), (array_agg(s.outcome ORDER BY s.number DESC))[1],
    jsonb_agg(DISTINCT s.observation_id)::text
  FROM series_step AS s GROUP BY s.tenant, s.person, s.code"""
FUNCTIONS = (
    'read_series(text, text[], text[])',
    'insert_series_step(text, text[], text[], integer[], text[], text[], timestamptz[])',
)


def upgrade() -> None:
    op.create_table('trajectory',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('recorded', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('told', sa.Text(collation='C'), nullable=True),
    sa.Column('series', sa.Text(collation='C'), nullable=False),
    sa.Column('measures', sa.Integer(), nullable=True),
    sa.Column('left_out', sa.Integer(), nullable=True),
    sa.Column('standing', sa.Text(collation='C'), nullable=True),
    sa.Column('baseline_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('baseline', sa.Double(), nullable=True),
    sa.Column('best', sa.Double(), nullable=True),
    sa.Column('last_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('last', sa.Double(), nullable=True),
    sa.Column('reliable_change', sa.Text(collation='C'), nullable=True),
    sa.Column('outcome_class', sa.Text(collation='C'), nullable=True),
    sa.Column('track', sa.Text(collation='C'), nullable=True),
    sa.Column('case_at_baseline', sa.Boolean(), nullable=True),
    sa.Column('case_now', sa.Boolean(), nullable=True),
    sa.Column('response', sa.Boolean(), nullable=True),
    sa.Column('remission', sa.Boolean(), nullable=True),
    sa.Column('recovery', sa.Boolean(), nullable=True),
    sa.Column('important_change', sa.Boolean(), nullable=True),
    sa.Column('stalled', sa.Boolean(), nullable=True),
    sa.Column('deteriorated', sa.Boolean(), nullable=True),
    sa.Column('relapse', sa.Boolean(), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'person', 'code')
    )
    op.create_table('care_episode',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('episode', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('started_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('ended_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'person', 'episode')
    )
    # The owner of the tables is bound to a tenant as well; this is about all of them.
    op.execute('ALTER TABLE series_step DISABLE ROW LEVEL SECURITY')
    op.execute(KEEP_SERIES)
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_table('series_step')


def downgrade() -> None:
    for function in (
        'read_trajectories(text, text[], text[], text[])',
        'trajectory_codes(text, text)',
        'insert_care_episode(text, text[], text[], integer[], timestamptz[], timestamptz[])',
    ):
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_table('care_episode')
    op.create_table('series_step',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('observation_id', sa.Text(collation='C'), nullable=False),
    sa.Column('outcome', sa.Text(collation='C'), nullable=True),
    sa.Column('recorded', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'person', 'code', 'number')
    )
    op.drop_table('trajectory')
