"""`stepwell run` as a newcomer starts it, and the commands of a page run against it exactly as they stand there."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stepwell_shared.cli.processes import free_port

STEPWELL = f"{sys.executable} -m stepwell_shared.cli.main"
UP = "Everything stays up"
BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:\n```\n(?P<answer>.*?)^```\n)?", re.DOTALL | re.MULTILINE)
# What the pages name, as `make run` has it, and their listener.
FIRST_PORT, LISTENER_PORT = 8001, 9000
PAGE_SECONDS_MAX = 300


@dataclass
class Installation:
    """`stepwell run` in a home of its own, on four ports in a row. It may post to 127.0.0.1 at `listener_port`."""

    home: Path
    first_port: int
    listener_port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "STEPWELL_HOME": str(self.home),
            "STEPWELL_SUBSCRIPTION_HOSTS_ALLOWED": f'["127.0.0.1:{self.listener_port}"]',
        }

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

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        """Runs what a page says, with our ports and our Python for those that it names."""
        text = self._here(text)
        with subprocess.Popen(
            ["bash", "-c", text],
            env={**self.environment, **self._addresses()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, errors = process.communicate(timeout=PAGE_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, errors = process.communicate()
                errors += f"\nstopped after {PAGE_SECONDS_MAX} seconds"
        return subprocess.CompletedProcess(text, process.returncode, output, errors)

    def hold_to(self, page: Path) -> int:
        """Runs the `sh` blocks of a page in one shell and holds each to the answer that stands below it.

        Lines may come in any order, as matches of a search do. Returns how many blocks there were.
        """
        script, expected = ["set -eu"], []
        for number, block in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8"))):
            script += [f"echo '=== {number}'", block["commands"]]
            expected.append((block["commands"], self._here(block["answer"] or "").strip()))
        done = self.run("\n".join(script))
        answers = re.split(r"^=== \d+\n", done.stdout, flags=re.MULTILINE)[1:]
        for (commands, wanted), answer in zip(expected, answers, strict=False):
            got = sorted(answer.strip().splitlines())
            assert got == sorted(wanted.splitlines()), f"{page}:\n{commands}\nanswered\n{answer}\n{done.stderr}"
        assert (done.returncode, len(answers)) == (0, len(expected)), f"{page}:\n{done.stderr}"
        return len(expected)

    def _here(self, text: str) -> str:
        text = text.replace(".venv/bin/stepwell", STEPWELL).replace("$PWD/.venv/bin", str(Path(sys.executable).parent))
        for offset in range(4):
            text = text.replace(f":{FIRST_PORT + offset}/", f":{self.first_port + offset}/")
        text = text.replace(f":{LISTENER_PORT}/", f":{self.listener_port}/")
        return text.replace(f"--port {LISTENER_PORT} ", f"--port {self.listener_port} ")

    def _addresses(self) -> Mapping[str, str]:
        names = ("screening", "routing", "referral", "measurement")
        return {
            f"STEPWELL_{name.upper()}_URL": f"http://127.0.0.1:{self.first_port + offset}/{name}/fhir"
            for offset, name in enumerate(names)
        }


def installed(folder: Path) -> Iterator[Installation]:
    """A running suite; Ctrl-C at the end leaves no process behind."""
    folder.chmod(0o755)
    found = Installation(folder / "home", _four_free_ports())
    found.start()
    try:
        yield found
    finally:
        assert found.stop() == 0


def _four_free_ports() -> int:
    """The first of four ports in a row, below those that the system gives away by itself."""
    while True:
        first = random.randrange(20_000, 32_000)
        if not any(_is_taken("127.0.0.1", first + offset) for offset in range(4)):
            return first


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
