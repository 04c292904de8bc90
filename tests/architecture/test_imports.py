"""Imports point one way: the contracts of .importlinter hold, and they would notice if they did not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("screening", "routing", "referral", "measurement")


def lint_imports(config: Path, folder: Path, python_path: str = "") -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-logo", "--no-cache", "--config", str(config)],
        cwd=folder,
        env={"PYTHONPATH": python_path, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_contract_is_kept() -> None:
    done = lint_imports(ROOT / ".importlinter", ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("stepwell_screening.use_cases", "import stepwell_routing", "Services never import each other"),
        ("stepwell_shared.settings", "import stepwell_screening", "Services stand on shared"),
        ("stepwell_screening.rules.score", "from stepwell_screening import use_cases", "Inside a service"),
        ("stepwell_screening.repositories", "", "Inside a service"),
        ("stepwell_shared.helpers", "", "Inside shared"),
        ("stepwell_shared.fhir.outcome", "from stepwell_shared.fhir import routes", "Inside the FHIR engine"),
        ("stepwell_routing.rules.score", "import stepwell_shared.canonical", "Rules see the standard library only"),
        ("stepwell_routing.rules.score", "import asyncpg", "Rules see the standard library only"),
        ("stepwell_screening.app", "import sqlmodel", "A process that serves loads nothing"),
        ("stepwell_shared.proportions", "import asyncpg", "What the rules may see of shared"),
        ("stepwell_shared.cli.main", "import httpx", "One module knows the HTTP client"),
        (
            "stepwell_shared.fhir.store",
            "import fastapi",
            "The engine knows the types of ASGI in two files, and no web framework",
        ),
        ("stepwell_referral.builders", "import stepwell_shared.fhir.store", "Builders know our names"),
    ],
)
def test_a_wrong_import_breaks_its_contract(module: str, line: str, contract: str, tmp_path: Path) -> None:
    """On a small copy of the layout, so that the contracts are tested and not today's code."""
    _small_layout(tmp_path)
    path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
    path.write_text(line + "\n", encoding="utf-8")
    done = lint_imports(ROOT / ".importlinter", tmp_path, str(tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [text for text in done.stdout.splitlines() if " BROKEN" in text]
    assert any(text.startswith(contract) for text in broken), done.stdout + done.stderr


def test_the_small_layout_itself_breaks_nothing(tmp_path: Path) -> None:
    _small_layout(tmp_path)
    done = lint_imports(ROOT / ".importlinter", tmp_path, str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def _small_layout(folder: Path) -> None:
    """Empty modules at the places that the contracts name."""
    service = ("app", "endpoints", "resources", "subscriptions", "use_cases", "builders", "tables", "settings")
    shared = (
        *("app", "connections", "migrations", "openapi", "served", "runtime", "http_client", "settings", "canonical"),
        "proportions",
    )
    engine = ("routes", "interactions", "store", "capability", "search", "validation", "registry", "outcome")
    files = [f"stepwell_{name}/{module}" for name in SERVICES for module in (*service, "rules/score", "rules/__init__")]
    files += [f"stepwell_shared/{module}" for module in shared]
    files += [f"stepwell_shared/{package}/__init__" for package in ("cli", "events", "auth", "database")]
    files += [f"stepwell_shared/fhir/{module}" for module in (*engine, "__init__")]
    files += [f"stepwell_{name}/__init__" for name in (*SERVICES, "shared")]
    for file in files:
        path = folder / f"{file}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    http_client = folder / "stepwell_shared" / "http_client.py"
    http_client.write_text("import httpx\n", encoding="utf-8")
    routes = folder / "stepwell_shared" / "fhir" / "routes.py"
    routes.write_text("import starlette\n", encoding="utf-8")
