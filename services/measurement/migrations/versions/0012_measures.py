"""Facts about care, the rows that figures are counted from, and Measures"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0012_measures'
down_revision = '0011_posted_scores'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('care_contact',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('item', sa.Text(collation='C'), nullable=False),
    sa.Column('practice', sa.Text(collation='C'), nullable=False),
    sa.Column('age', sa.Text(collation='C'), nullable=False),
    sa.Column('sex', sa.Text(collation='C'), nullable=False),
    sa.Column('language', sa.Text(collation='C'), nullable=False),
    sa.Column('ethnicity', sa.Text(collation='C'), nullable=False),
    sa.Column('deprivation', sa.Text(collation='C'), nullable=False),
    sa.Column('rurality', sa.Text(collation='C'), nullable=False),
    sa.Column('tier', sa.Text(collation='C'), nullable=False),
    sa.Column('pathway', sa.Text(collation='C'), nullable=False),
    sa.Column('held_on', sa.Date(), nullable=False),
    sa.Column('attendance', sa.Text(collation='C'), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'person', 'item')
    )
    op.create_index('care_contact_held', 'care_contact', ['tenant', 'held_on'], unique=False)
    op.create_table('care_course',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('item', sa.Text(collation='C'), nullable=False),
    sa.Column('practice', sa.Text(collation='C'), nullable=False),
    sa.Column('age', sa.Text(collation='C'), nullable=False),
    sa.Column('sex', sa.Text(collation='C'), nullable=False),
    sa.Column('language', sa.Text(collation='C'), nullable=False),
    sa.Column('ethnicity', sa.Text(collation='C'), nullable=False),
    sa.Column('deprivation', sa.Text(collation='C'), nullable=False),
    sa.Column('rurality', sa.Text(collation='C'), nullable=False),
    sa.Column('tier', sa.Text(collation='C'), nullable=False),
    sa.Column('pathway', sa.Text(collation='C'), nullable=False),
    sa.Column('started_on', sa.Date(), nullable=False),
    sa.Column('ended_on', sa.Date(), nullable=True),
    sa.Column('contacts', sa.Integer(), nullable=False),
    sa.Column('case_at_start', sa.Boolean(), nullable=True),
    sa.Column('recovery', sa.Boolean(), nullable=True),
    sa.Column('reliable_improvement', sa.Boolean(), nullable=True),
    sa.Column('reliable_deterioration', sa.Boolean(), nullable=True),
    sa.Column('reliable_recovery', sa.Boolean(), nullable=True),
    sa.Column('mood_case', sa.Boolean(), nullable=True),
    sa.Column('mood_response', sa.Boolean(), nullable=True),
    sa.Column('mood_remission', sa.Boolean(), nullable=True),
    sa.Column('anxiety_case', sa.Boolean(), nullable=True),
    sa.Column('anxiety_response', sa.Boolean(), nullable=True),
    sa.Column('anxiety_remission', sa.Boolean(), nullable=True),
    sa.Column('function_better', sa.Boolean(), nullable=True),
    sa.Column('satisfaction', sa.Double(), nullable=True),
    sa.Column('cost', sa.Double(), nullable=True),
    sa.Column('use_before', sa.Integer(), nullable=False),
    sa.Column('use_after', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'person', 'item')
    )
    op.create_index('care_course_ended', 'care_course', ['tenant', 'ended_on'], unique=False)
    op.create_table('care_fact',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('kind', sa.Text(collation='C'), nullable=False),
    sa.Column('source', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('status', sa.Text(collation='C'), nullable=False),
    sa.Column('at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('begun_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('ended_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('what', sa.Text(collation='C'), nullable=True),
    sa.Column('about', sa.Text(collation='C'), nullable=True),
    sa.Column('path', sa.Text(collation='C'), nullable=True),
    sa.Column('amount', sa.Double(), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'person', 'kind', 'source')
    )
    op.create_table('care_mark',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'person')
    )
    op.create_table('care_person',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('practice', sa.Text(collation='C'), nullable=False),
    sa.Column('born', sa.Date(), nullable=True),
    sa.Column('sex', sa.Text(collation='C'), nullable=False),
    sa.Column('language', sa.Text(collation='C'), nullable=False),
    sa.Column('ethnicity', sa.Text(collation='C'), nullable=False),
    sa.Column('deprivation', sa.Text(collation='C'), nullable=False),
    sa.Column('rurality', sa.Text(collation='C'), nullable=False),
    sa.Column('attended', sa.ARRAY(sa.Date()), server_default=sa.text("'{}'"), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'person')
    )
    op.create_table('care_referral',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('item', sa.Text(collation='C'), nullable=False),
    sa.Column('practice', sa.Text(collation='C'), nullable=False),
    sa.Column('age', sa.Text(collation='C'), nullable=False),
    sa.Column('sex', sa.Text(collation='C'), nullable=False),
    sa.Column('language', sa.Text(collation='C'), nullable=False),
    sa.Column('ethnicity', sa.Text(collation='C'), nullable=False),
    sa.Column('deprivation', sa.Text(collation='C'), nullable=False),
    sa.Column('rurality', sa.Text(collation='C'), nullable=False),
    sa.Column('tier', sa.Text(collation='C'), nullable=False),
    sa.Column('pathway', sa.Text(collation='C'), nullable=False),
    sa.Column('asked_on', sa.Date(), nullable=False),
    sa.Column('begun_on', sa.Date(), nullable=True),
    sa.Column('second_on', sa.Date(), nullable=True),
    sa.Column('left_on', sa.Date(), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'person', 'item')
    )
    op.create_index('care_referral_asked', 'care_referral', ['tenant', 'asked_on'], unique=False)
    op.create_table('care_step',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('person', sa.Text(collation='C'), nullable=False),
    sa.Column('item', sa.Text(collation='C'), nullable=False),
    sa.Column('practice', sa.Text(collation='C'), nullable=False),
    sa.Column('age', sa.Text(collation='C'), nullable=False),
    sa.Column('sex', sa.Text(collation='C'), nullable=False),
    sa.Column('language', sa.Text(collation='C'), nullable=False),
    sa.Column('ethnicity', sa.Text(collation='C'), nullable=False),
    sa.Column('deprivation', sa.Text(collation='C'), nullable=False),
    sa.Column('rurality', sa.Text(collation='C'), nullable=False),
    sa.Column('tier', sa.Text(collation='C'), nullable=False),
    sa.Column('pathway', sa.Text(collation='C'), nullable=False),
    sa.Column('entered_on', sa.Date(), nullable=False),
    sa.Column('left_on', sa.Date(), nullable=True),
    sa.Column('move', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'person', 'item')
    )
    op.create_index('care_step_entered', 'care_step', ['tenant', 'entered_on'], unique=False)
    op.create_table('fhir_measure',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('last_updated', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('body', postgresql.BYTEA(), nullable=True),
    sa.Column('p_date_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_date_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_effective_low', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_effective_high', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('p_status', sa.Text(collation='C'), nullable=True),
    sa.Column('p_url', sa.Text(collation='C'), nullable=True),
    sa.Column('p_version', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id')
    )
    op.create_index('fhir_measure_last_updated', 'fhir_measure', ['tenant', 'last_updated', 'id'], unique=False)
    op.create_index('fhir_measure_url', 'fhir_measure', ['tenant', 'p_url', 'id'], unique=False, postgresql_where=sa.text('p_url IS NOT NULL'))
    op.create_table('fhir_measure_index',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('system', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('display', sa.Text(collation='C'), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'system', 'code')
    )
    op.create_index('fhir_measure_index_code', 'fhir_measure_index', ['tenant', 'parameter', 'code', 'system', 'id'], unique=False)
    op.create_table('fhir_measure_number',
    sa.Column('tenant', sa.Text(collation='C'), nullable=False),
    sa.Column('id', sa.Text(collation='C'), nullable=False),
    sa.Column('parameter', sa.Text(collation='C'), nullable=False),
    sa.Column('ordinal', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('key_system', sa.Text(collation='C'), nullable=True),
    sa.Column('key_code', sa.Text(collation='C'), nullable=True),
    sa.Column('system', sa.Text(collation='C'), nullable=True),
    sa.Column('code', sa.Text(collation='C'), nullable=True),
    sa.Column('unit', sa.Text(collation='C'), nullable=True),
    sa.Column('low', sa.Double(), nullable=True),
    sa.Column('high', sa.Double(), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', 'parameter', 'ordinal')
    )
    op.create_index('fhir_measure_number_high', 'fhir_measure_number', ['tenant', 'parameter', 'key_code', 'high', 'id'], unique=False, postgresql_where=sa.text('low < high'))
    op.create_index('fhir_measure_number_value', 'fhir_measure_number', ['tenant', 'parameter', 'key_code', 'low', 'id'], unique=False)


def downgrade() -> None:
    op.drop_index('fhir_measure_number_value', table_name='fhir_measure_number')
    op.drop_index('fhir_measure_number_high', table_name='fhir_measure_number', postgresql_where=sa.text('low < high'))
    op.drop_table('fhir_measure_number')
    op.drop_index('fhir_measure_index_code', table_name='fhir_measure_index')
    op.drop_table('fhir_measure_index')
    op.drop_index('fhir_measure_url', table_name='fhir_measure', postgresql_where=sa.text('p_url IS NOT NULL'))
    op.drop_index('fhir_measure_last_updated', table_name='fhir_measure')
    op.drop_table('fhir_measure')
    op.drop_index('care_step_entered', table_name='care_step')
    op.drop_table('care_step')
    op.drop_index('care_referral_asked', table_name='care_referral')
    op.drop_table('care_referral')
    op.drop_table('care_person')
    op.drop_table('care_mark')
    op.drop_table('care_fact')
    op.drop_index('care_course_ended', table_name='care_course')
    op.drop_table('care_course')
    op.drop_index('care_contact_held', table_name='care_contact')
    op.drop_table('care_contact')
