"""Reads an export with DuckDB: scores by instrument, from the resources as they are, and by band from the table.

python read_with_duckdb.py FOLDER    (the folder of `stepwell export measurement FOLDER --view scores`)
"""

import sys
from pathlib import Path

import duckdb

FROM_RESOURCES = """
    SELECT (json->>'$.code.coding[0].code') AS code, count(*) AS scores,
           count(DISTINCT (json->>'$.subject.reference')) AS people,
           avg((json->>'$.valueQuantity.value')::DOUBLE) AS mean
    FROM read_ndjson_objects(?)
    WHERE (json->>'$.status') IN ('final', 'amended') AND (json->'$.valueQuantity') IS NOT NULL
    GROUP BY code ORDER BY code
"""
FROM_TABLE = """
    SELECT coalesce(band, 'no band') AS band, count(*) AS scores
    FROM read_parquet(?) GROUP BY band ORDER BY band
"""


def main(folder: Path) -> None:
    """Prints what is in the folder."""
    with duckdb.connect() as database:
        resources = database.execute(FROM_RESOURCES, [str(folder / "Observation.*.ndjson")])
        for code, scores, people, mean in resources.fetchall():
            print(f"{code}: {scores} scores of {people} people, {mean:.1f} on average")
        table = database.execute(FROM_TABLE, [str(folder / "tables" / "scores.parquet")])
        for band, scores in table.fetchall():
            print(f"{band}: {scores}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
