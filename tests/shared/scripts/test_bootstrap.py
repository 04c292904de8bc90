"""The way from a bare python3 to a virtual environment: what is missing is said in one sentence."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "shared" / "scripts" / "bootstrap.sh"
TOOLS = ("cut", "dirname", "grep", "rm", "sed", "sh")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout with the script alone, and a `bin` folder with no Python in it."""
    scripts = tmp_path / "shared" / "scripts"
    scripts.mkdir(parents=True)
    shutil.copy(SCRIPT, scripts)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def add_python(bare: Path, name: str, version: str, *, venv: bool = True) -> None:
    """A stand-in that answers the script's three questions, and notes when it is asked to make an environment."""
    new_enough = int(version.split(".")[1]) >= 11
    path = bare / "bin" / name
    path.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f"  *print*) echo {version} ;;\n"
        f"  *sys.exit*) exit {0 if new_enough else 1} ;;\n"
        f"  *ensurepip*) exit {0 if venv else 1} ;;\n"
        f"  '-m venv'*) echo {name} > chosen; exit 9 ;;\n"
        "esac\n",
        encoding="utf-8",
    )
    path.chmod(0o755)


def bootstrap(bare: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", bare / "shared" / "scripts" / "bootstrap.sh"],
        env={"PATH": str(bare / "bin"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_python_at_all_is_one_sentence(bare: Path) -> None:
    done = bootstrap(bare)
    assert done.returncode == 1
    assert done.stderr.startswith("python3 was not found: Stepwell needs Python 3.11 or newer")
    assert done.stderr.count("\n") == 1


def test_an_old_python_is_named_with_its_version(bare: Path) -> None:
    add_python(bare, "python3", "3.9.2")
    done = bootstrap(bare)
    assert done.returncode == 1
    assert "needs Python 3.11 or newer, and python3 is Python 3.9.2" in done.stderr


def test_a_python_without_venv_is_told_which_package_to_install(bare: Path) -> None:
    add_python(bare, "python3", "3.11.2", venv=False)
    done = bootstrap(bare)
    assert done.returncode == 1
    assert "apt install python3.11-venv" in done.stderr
    assert not (bare / ".venv").exists()


def test_the_interpreter_that_was_asked_for_is_the_only_one_tried(bare: Path) -> None:
    add_python(bare, "python3", "3.12.1")
    done = bootstrap(bare, PYTHON="python3.13")
    assert done.returncode == 1
    assert "python3.13 was not found" in done.stderr
    assert not (bare / "chosen").exists()


@pytest.mark.parametrize(("name", "version"), [("python3.13", "3.13.0"), ("python3.11", "3.11.7")])
def test_a_newer_python_beside_an_old_python3_is_taken(bare: Path, name: str, version: str) -> None:
    add_python(bare, "python3", "3.9.2")
    add_python(bare, name, version)
    assert bootstrap(bare).returncode == 9
    assert (bare / "chosen").read_text(encoding="utf-8").strip() == name
