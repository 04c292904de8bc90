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
from dataclasses import dataclass
from pathlib import Path

import pytest

README = Path("README.md")
BLOCK = re.compile(r"```sh\n(?P<commands>.*?)```\n(?:\n```\n(?P<answer>.*?)```\n)?", re.DOTALL)
STEPWELL = f"{sys.executable} -m stepwell_shared.cli.main"
UP = "Everything stays up"


@dataclass
class Installation:
    """`stepwell run` in a home of its own, on four ports in a row."""

    home: Path
    first_port: int
    process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "STEPWELL_HOME": str(self.home)}

    @property
    def told(self) -> str:
        """All that its runs have said."""
        output = self.home.parent / "output"
        return output.read_text() if output.exists() else ""

    def start(self, *options: str) -> None:
        """Returns when it is up and its journey is told."""
        argv = [*STEPWELL.split(), "run", "--first-port", str(self.first_port), *options]
        environment = {**self.environment, "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
        environment.pop("STEPWELL_DATABASE_URL", None)
        runs_before = self.told.count(UP)
        with (self.home.parent / "output").open("a") as output:
            self.process = subprocess.Popen(argv, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True)
        deadline = time.monotonic() + 120
        while self.told.count(UP) == runs_before:
            assert self.process.poll() is None, self.told
            assert time.monotonic() < deadline, self.told
            time.sleep(0.1)

    def stop(self) -> int:
        """Ctrl-C, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=30)

    def patients(self) -> str:
        """How many the demonstration's clinic has."""
        count = f"""curl -s -H "Authorization: Bearer $({STEPWELL} token demo.clinic)" \
          "http://127.0.0.1:{self.first_port}/screening/fhir/Patient?_summary=count" """
        done = subprocess.run(["bash", "-c", count], env=self.environment, capture_output=True, text=True, check=True)
        (found,) = re.findall(r'"total":(\d+)', done.stdout)
        return str(found)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running suite; Ctrl-C at the end leaves no process behind."""
    folder = tmp_path_factory.mktemp("readme")
    folder.chmod(0o755)
    found = Installation(folder / "home", _four_free_ports())
    found.start()
    try:
        yield found
    finally:
        assert found.stop() == 0


def test_the_tour_answers_as_the_readme_says(installation: Installation) -> None:
    script, expected = ["set -eu"], []
    for number, block in enumerate(BLOCK.finditer(README.read_text())):
        script += [f"echo '=== {number}'", block["commands"]]
        expected.append((number, (block["answer"] or "").strip()))
    assert len(expected) >= 5
    text = "\n".join(script).replace(".venv/bin/stepwell", STEPWELL)
    for offset in range(4):
        text = text.replace(f":{8001 + offset}/", f":{installation.first_port + offset}/")
    done = subprocess.run(
        ["bash", "-c", text], env=installation.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = re.split(r"=== \d+\n", done.stdout)[1:]
    for (number, wanted), answer in zip(expected, answers, strict=True):
        assert sorted(answer.strip().splitlines()) == sorted(wanted.splitlines()), f"block {number}"


def test_the_journey_is_told_in_plain_words(installation: Installation) -> None:
    story = installation.told
    for words in ("Moderately severe", "FLOOR-PHQ9-T3", "We suggest", "Half of the people", "Until then", "reliable"):
        assert words in story
    assert "stepwell token" in story


def test_a_taken_port_gets_a_sentence_that_names_it(tmp_path: Path, installation: Installation) -> None:
    argv = [*STEPWELL.split(), "run", "--first-port", str(installation.first_port)]
    environment = {**os.environ, "STEPWELL_HOME": str(tmp_path / "home")}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"port {installation.first_port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_everything_and_a_second_run_keeps_the_data(installation: Installation) -> None:
    before = installation.patients()
    assert int(before) >= 1
    assert installation.stop() == 0
    for folder in installation.home.glob("postgres*"):
        assert not list(folder.rglob("postmaster.pid"))
    installation.start("--no-journey")
    assert installation.patients() == before


def _four_free_ports() -> int:
    """The first of four ports in a row, below those that the system gives away by itself."""
    while True:
        first = random.randrange(20_000, 32_000)
        if not any(_is_taken("127.0.0.1", first + offset) for offset in range(4)):
            return first


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
