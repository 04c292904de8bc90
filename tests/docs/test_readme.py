"""The README's tour does what it says, in a suite started as a newcomer starts it."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

README = Path("README.md")
BLOCK = re.compile(r"```sh\n(?P<commands>.*?)```\n(?:\n```\n(?P<answer>.*?)```\n)?", re.DOTALL)
STEPWELL = f"{sys.executable} -m stepwell_shared.cli.main"


def started(home: Path, first_port: int, *options: str) -> subprocess.Popen[str]:
    """`stepwell run`, up and with its journey told."""
    argv = [sys.executable, "-m", "stepwell_shared.cli.main", "run", "--first-port", str(first_port), *options]
    environment = {**os.environ, "STEPWELL_HOME": str(home), "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
    environment.pop("STEPWELL_DATABASE_URL", None)
    with (home.parent / "output").open("a") as output:
        process = subprocess.Popen(argv, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while "Everything stays up" not in told(home):
        assert process.poll() is None, told(home)
        assert time.monotonic() < deadline, told(home)
        time.sleep(0.1)
    return process


def told(home: Path) -> str:
    return (home.parent / "output").read_text()


def stopped(process: subprocess.Popen[str]) -> int:
    """Ctrl-C, and the exit code."""
    process.send_signal(signal.SIGINT)
    return process.wait(timeout=30)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme") / "home"
    folder.parent.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def first_port(home: Path) -> Iterator[int]:
    """A running suite; Ctrl-C at the end leaves no process behind."""
    port = _four_free_ports()
    process = started(home, port)
    try:
        yield port
    finally:
        assert stopped(process) == 0


def test_the_tour_answers_as_the_readme_says(home: Path, first_port: int) -> None:
    script, expected = ["set -eu"], []
    for number, block in enumerate(BLOCK.finditer(README.read_text())):
        script += [f"echo '=== {number}'", block["commands"]]
        expected.append((number, (block["answer"] or "").strip()))
    assert len(expected) >= 5
    text = "\n".join(script).replace(".venv/bin/stepwell", STEPWELL)
    for offset in range(4):
        text = text.replace(f":{8001 + offset}/", f":{first_port + offset}/")
    environment = {**os.environ, "STEPWELL_HOME": str(home)}
    done = subprocess.run(["bash", "-c", text], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = re.split(r"=== \d+\n", done.stdout)[1:]
    for (number, wanted), answer in zip(expected, answers, strict=True):
        assert sorted(answer.strip().splitlines()) == sorted(wanted.splitlines()), f"block {number}"


def test_the_journey_is_told_in_plain_words(home: Path, first_port: int) -> None:
    story = told(home)
    assert first_port
    for words in ("Moderately severe", "FLOOR-PHQ9-T3", "We suggest", "Half of the people", "Until then", "reliable"):
        assert words in story
    assert "stepwell token" in story


def test_ctrl_c_stops_everything_and_a_second_run_keeps_the_data(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    home, port = tmp_path / "home", _four_free_ports()
    assert stopped(started(home, port)) == 0
    for folder in home.glob("postgres*"):
        assert not list(folder.rglob("postmaster.pid"))
    (tmp_path / "output").write_text("")
    process = started(home, port, "--no-journey")
    environment = {**os.environ, "STEPWELL_HOME": str(home)}
    count = f"""curl -s -H "Authorization: Bearer $({STEPWELL} token demo.clinic)" \
      "http://127.0.0.1:{port}/screening/fhir/Patient?_summary=count" """
    done = subprocess.run(["bash", "-c", count], env=environment, capture_output=True, text=True, check=True)
    assert '"total":1' in done.stdout
    assert stopped(process) == 0


def test_a_taken_port_gets_a_sentence_that_names_it(tmp_path: Path, home: Path, first_port: int) -> None:
    argv = [sys.executable, "-m", "stepwell_shared.cli.main", "run", "--first-port", str(first_port)]
    environment = {**os.environ, "STEPWELL_HOME": str(tmp_path / "home")}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"port {first_port}" in done.stderr
    assert "Traceback" not in done.stderr


def _four_free_ports() -> int:
    """The first of four ports in a row, below those that the system gives away by itself."""
    while True:
        first = random.randrange(20_000, 32_000)
        if not any(_is_taken("127.0.0.1", first + offset) for offset in range(4)):
            return first


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
