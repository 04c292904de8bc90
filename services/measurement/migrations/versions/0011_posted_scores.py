"""Scores that EHRs posted before there were trajectories: each series has a row that says that it is to be read"""

from alembic import op

revision = '0011_posted_scores'
down_revision = '0010_goals'
branch_labels = None
depends_on = None

OWN = 'https://stepwell.health/fhir/CodeSystem/instrument'
LOINC_CODES = ('44261-6', '70274-6', '70273-8', '55758-7', '70272-0', '77860-5', '91147-9')
OWN_CODES = (
    'phq-8', 'gad-2', 'sss-8', 'ssd-12', 'euronet-soma-intensity', 'euronet-soma-interference', 'wi-7', 'shai-14',
    'shai-18', 'wsas', 'wsas-without-work', 'whodas-12', 'eq-5d-5l-vas', 'promis-global-10-physical-t',
    'promis-global-10-mental-t', 'promis-pain-interference-4a-t', 'bpi-sf-severity', 'bpi-sf-interference', 'odi',
    'pdi', 'pcs', 'tsk-11', 'pseq', 'pseq-2', 'isi', 'psqi', 'pc-ptsd-5',
)
KNOWN = ', '.join(
    f"('{system}', '{code}')"
    for system, codes in (('http://loinc.org', LOINC_CODES), (OWN, OWN_CODES))
    for code in codes
)
# Those with one coding stand in columns, those with several in index rows.
MARK = f"""
INSERT INTO trajectory (tenant, person, code, number, recorded, series)
  SELECT DISTINCT found.tenant, found.person, found.code, 1, now(), '[]' FROM (
    SELECT o.tenant, o.p_patient AS person, o.p_code_system AS system, o.p_code AS code FROM fhir_observation AS o
      WHERE o.p_code IS NOT NULL AND o.body IS NOT NULL
    UNION ALL
    SELECT o.tenant, o.p_patient, i.system, i.code FROM fhir_observation AS o
      JOIN fhir_observation_index AS i ON i.tenant = o.tenant AND i.id = o.id AND i.parameter = 'code'
      WHERE o.p_code IS NULL AND o.body IS NOT NULL
  ) AS found WHERE found.person IS NOT NULL AND (found.system, found.code) IN ({KNOWN})
  ON CONFLICT DO NOTHING"""
# The owner of the tables is bound to a tenant as well; this is about all of them.
TABLES = ('fhir_observation', 'fhir_observation_index', 'trajectory')


def upgrade() -> None:
    for table in TABLES:
        op.execute(f'ALTER TABLE {table} DISABLE ROW LEVEL SECURITY')
    op.execute(MARK)
    for table in TABLES:
        op.execute(f'ALTER TABLE {table} ENABLE ROW LEVEL SECURITY')


def downgrade() -> None:
    op.execute('DROP FUNCTION IF EXISTS observed_codes(text, text)')
