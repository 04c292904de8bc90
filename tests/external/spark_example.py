"""`examples/read_with_spark.py` prints what the one for DuckDB prints. Spark comes into a venv of its own: 0.5 GB."""

import subprocess
import sys
import tempfile
from pathlib import Path

import orjson
from stepwell_shared.views.definition import view_of
from stepwell_shared.views.running import rows_of
from stepwell_shared.views.shipped import shipped_views
from stepwell_shared.views.writing import Format, write

from tests.clients.install import python_with
from tests.external.tools import need_java

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "spark" / "requirements.lock"
VENV = ROOT / "build" / "spark" / "venv"
LINES = ["44261-6: 3 scores of 2 people, 12.3 on average", "phq-9-mild: 2", "phq-9-severe: 1"]
SCORES = (("o1", "p1", 20, "phq-9-severe"), ("o2", "p1", 9, "phq-9-mild"), ("o3", "p2", 8, "phq-9-mild"))


def run() -> bool:
    """Whether both read an export alike. Raises SkippedError without Java or without a way to Spark."""
    need_java()
    python = python_with(REQUIREMENTS, VENV)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _fill(folder)
        said = {
            "duckdb": _said(Path(sys.executable), "read_with_duckdb.py", folder),
            "spark": _said(python, "read_with_spark.py", folder),
        }
    for tool, lines in said.items():
        print(f"{tool}: {'as expected' if lines == LINES else lines}")
    return all(lines == LINES for lines in said.values())


def _fill(folder: Path) -> None:
    """What `stepwell export` would write of three scores."""
    resources = [_score(*each) for each in SCORES]
    (folder / "Observation.0001.ndjson").write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in resources))
    (folder / "tables").mkdir()
    view = view_of(shipped_views()["scores"])
    make = rows_of(view)
    rows = [row for each in resources for row in make(each)]
    write(view, rows, folder / "tables" / "scores.parquet", Format.PARQUET)


def _score(id_: str, patient: str, value: int, band: str) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [{"coding": [{"code": "survey"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "44261-6"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "valueQuantity": {"value": value, "unit": "{score}"},
        "interpretation": [{"coding": [{"code": band}]}],
    }


def _said(python: Path, example: str, folder: Path) -> list[str]:
    command = [str(python), str(ROOT / "examples" / example), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr[-4000:])
    return done.stdout.splitlines()
