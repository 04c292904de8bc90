"""Reads an export with Spark: scores by instrument, from the resources as they are, and by band from the table.

python read_with_spark.py FOLDER    (the folder of `stepwell export measurement FOLDER --view scores`)
"""

import sys
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql.functions import avg, coalesce, col, count, countDistinct, lit


def main(folder: Path) -> None:
    """Prints what is in the folder."""
    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        scores = (
            spark.read.json(str(folder / "Observation.*.ndjson"))
            .where(col("status").isin("final", "amended") & col("valueQuantity").isNotNull())
            .groupBy(col("code.coding")[0]["code"].alias("code"))
            .agg(count("*"), countDistinct("subject.reference"), avg(col("valueQuantity.value").cast("double")))
            .orderBy("code")
        )
        for code, number, people, mean in scores.collect():
            print(f"{code}: {number} scores of {people} people, {mean:.1f} on average")
        table = spark.read.parquet(str(folder / "tables" / "scores.parquet"))
        bands = table.groupBy(coalesce("band", lit("no band")).alias("band")).count().orderBy("band")
        for band, number in bands.collect():
            print(f"{band}: {number}")
    finally:
        spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
