"""docs/backup.md to the letter: a suite at work is backed up, destroyed, and brought back to a moment before.

What was acknowledged by the moment is there, once; clients that post the rest again have it stored; no subscriber hears
of two events under one number.
"""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import asyncpg
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.processes import ServiceProcesses, free_port

from tests.chaos.clients import submitting
from tests.chaos.ledger import Ledger
from tests.chaos.oracle import Finding, examine
from tests.chaos.storm import heard, subscribe
from tests.external.deployed import connections, deploy
from tests.support import postgres
from tests.support.listener import listening

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SUPERUSER = "postgres"
BEFORE_BACKUP, BY_THE_MOMENT, LATER, AT_LAST = range(10), range(10, 20), range(20, 30), range(20, 36)
SETTLED_SECONDS_MAX = 60.0
DISASTER = "DROP TABLE fhir_questionnaireresponse CASCADE"


def run() -> bool:
    """Whether all of it is so."""
    folder = postgres.run_folder() / "backup"
    folder.mkdir(mode=0o711)
    server = Server(folder, EmbeddedPostgres(folder / "unused", say=lambda _: None))
    server.start()
    try:
        return asyncio.run(_story(server))
    finally:
        server.shell("pg_ctl stop --mode immediate || true")


@dataclass
class Server:
    """One PostgreSQL, and the terminal of who looks after it."""

    folder: Path
    wheel: EmbeddedPostgres
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=partial(secrets.token_hex, 16))
    moment: str = ""

    @property
    def url(self) -> str:
        return f"postgresql://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/postgres?"

    def start(self) -> None:
        """As a package of an operating system would have made it."""
        os.chown(self.folder, self.wheel.identity.owner_uid, self.wheel.identity.owner_gid)
        self.shell(
            "umask 077; mkdir $ARCHIVE; echo $PGPASSWORD > pw\n"
            f"initdb --username {SUPERUSER} --pwfile pw --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8\n"
            "cat >> $PGDATA/postgresql.conf <<END\n"
            f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n"
            "jit = off\nscram_iterations = 64\nEND\n"
            "pg_ctl start --log first.log"
        )

    def shell(self, commands: str) -> str:
        """What the commands print. Raises SystemExit when one of them fails."""
        environment = {
            "PATH": f"{self.wheel.binaries}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "PGDATA": str(self.folder / "data"),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self.password,
            "PGDATABASE": "postgres",
            "ARCHIVE": str(self.folder / "archive"),
            "BACKUP": str(self.folder / "base"),
            "MOMENT": self.moment,
            "STEPWELL_HOME": str(self.folder),
        }
        done = subprocess.run(
            [*self.wheel.identity.prefix, "/bin/bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=(output := (self.folder / "said").open("w+", encoding="utf-8")),
            stderr=subprocess.STDOUT,
            check=False,
        )
        with output:
            output.seek(0)
            said = output.read()
        if done.returncode != 0:
            raise SystemExit(f"{commands}\nended with {done.returncode}:\n{said}")
        return said


def blocks() -> list[str]:
    """The commands of the page, in order."""
    return [textwrap.dedent(body) for _, body in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


async def _story(server: Server) -> bool:
    archive, backup, keep_what_is_left, restore, check, look = blocks()
    listener_port = free_port()
    allowed = {"STEPWELL_SUBSCRIPTION_HOSTS_ALLOWED": f'["127.0.0.1:{listener_port}"]'}
    deployment = await deploy(server.url, server.folder, allowed)
    by_the_moment, at_last = Ledger(), Ledger()
    async with listening(listener_port) as listener:
        with ServiceProcesses(deployment.commands(), server.folder / "logs") as processes:
            await asyncio.to_thread(processes.wait_until_ready)
            subscription = await subscribe(deployment, listener_port)
            await _submit(deployment, by_the_moment, BEFORE_BACKUP)
            await asyncio.to_thread(server.shell, archive)
            await asyncio.to_thread(server.shell, backup)
            await _submit(deployment, by_the_moment, BY_THE_MOMENT)
            findings = await _settled(server, by_the_moment)
            server.moment = await _value(server, "SELECT clock_timestamp()::text")
            everything = Ledger(submissions=dict(by_the_moment.submissions))
            await _submit(deployment, everything, LATER)
            findings += await _settled(server, everything)
            await _value(server, DISASTER, "stepwell_screening")
        began = time.monotonic()
        for block in (keep_what_is_left, restore, check):
            await asyncio.to_thread(server.shell, block)
        with ServiceProcesses(deployment.commands(), server.folder / "logs") as processes:
            await asyncio.to_thread(processes.wait_until_ready)
            seconds = time.monotonic() - began
            said = await asyncio.to_thread(server.shell, look)
            findings += await _settled(server, by_the_moment, subscription)
            at_last.submissions.update(by_the_moment.submissions)
            await _submit(deployment, at_last, AT_LAST)
            findings += await _settled(server, at_last, subscription)
            findings += _numbers_of_two_events(heard(listener))
    print(f"back at work {seconds:.0f} s after the first command; {said.strip().splitlines()[-1]}")
    for finding in findings:
        print(finding)
    return not findings


async def _submit(deployment: LocalDeployment, ledger: Ledger, numbers: Iterable[int]) -> None:
    async with submitting(deployment, ledger) as submitter:
        await asyncio.gather(*map(submitter.submit, numbers))


async def _value(server: Server, statement: str, database: str = "postgres") -> str:
    connection = await asyncpg.connect(server.url, database=database)
    try:
        return str(await connection.fetchval(statement))
    finally:
        await connection.close()


async def _settled(server: Server, ledger: Ledger, skipping: str = "") -> list[Finding]:
    """What the oracle still finds when all has had its time; `skipping` is a subscription that leaves numbers out."""
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while True:
        async with connections(server.url) as opened:
            found = [each for each in await examine(opened, ledger) if not _is_left_out(each, skipping)]
        if not found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.3)


def _is_left_out(finding: Finding, subscription: str) -> bool:
    return bool(subscription) and finding.kind == "gap" and all(f" {subscription[:8]} #" in key for key in finding.keys)


def _numbers_of_two_events(told: list[tuple[int, str]]) -> list[Finding]:
    by_number: dict[int, set[str]] = defaultdict(set)
    for number, focus in told:
        by_number[number].add(focus)
    keys = tuple(f"#{number}" for number, focuses in by_number.items() if len(focuses) > 1)
    return [Finding("wrong", "number under which a subscriber heard of two events", keys)] * bool(keys)
