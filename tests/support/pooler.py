"""A pgbouncer in transaction mode before the run's PostgreSQL, for a run of tests that are to go through it.

STEPWELL_TEST_POOLER names what its URLs say (`transaction` or `transaction-prepared`), STEPWELL_TEST_PGBOUNCER the
program. It has few connections to the server, so that every transaction may well meet another one.
"""

import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.processes import free_port
from stepwell_shared.database.address import PARAMETER, Pooler

KIND = "STEPWELL_TEST_POOLER"
PROGRAM = "STEPWELL_TEST_PGBOUNCER"
SERVER_CONNECTIONS = 3
STATEMENTS = 200
START_SECONDS_MAX = 30


def pooled(urls: DatabaseUrls, server: EmbeddedPostgres, folder: Path) -> DatabaseUrls:
    """The same database, for the running service through the pooler if this run has one."""
    return DatabaseUrls(urls.owner, pooled_url(urls.runtime, server, folder))


def pooled_url(url: str, server: EmbeddedPostgres, folder: Path) -> str:
    """The same database of this server, through the pooler before it if this run has one."""
    kind = os.environ.get(KIND)
    if not kind:
        return url
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    query = urlencode({PARAMETER: Pooler(kind).value})
    return f"postgresql://{login}@127.0.0.1:{_port(server, folder)}{parts.path}?{query}"


def stop(folder: Path) -> None:
    """Ends the pooler whose server's credentials are in this folder, if there is one."""
    pid_file = folder / "pgbouncer" / "pid"
    if pid_file.exists():
        try:
            os.kill(int(pid_file.read_text(encoding="ascii")), signal.SIGKILL)
        except ProcessLookupError:
            return


def _port(server: EmbeddedPostgres, run_folder: Path) -> int:
    """Where the run's pooler listens; whoever asks first starts it."""
    folder = run_folder / "pgbouncer"
    with (run_folder / "pgbouncer.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        port_file = folder / "port"
        if not port_file.exists():
            port = free_port()
            _start(server, run_folder, folder, port)
            port_file.write_text(str(port), encoding="ascii")
        return int(port_file.read_text(encoding="ascii"))


def _start(server: EmbeddedPostgres, run_folder: Path, folder: Path, port: int) -> None:
    folder.mkdir(exist_ok=True)
    passwords = json.loads((run_folder / "credentials.json").read_text(encoding="utf-8"))
    users = "".join(f'"{role}" "{password}"\n' for role, password in passwords.items())
    (folder / "users.txt").write_text(users, encoding="utf-8")
    lines = [
        "[databases]",
        f"* = host={server.socket_folder} port=5432",
        "[pgbouncer]",
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =",
        f"auth_type = scram-sha-256\nauth_file = {folder / 'users.txt'}",
        "pool_mode = transaction\nmax_client_conn = 1000",
        f"default_pool_size = {SERVER_CONNECTIONS}",
        f"logfile = {folder / 'log'}\npidfile = {folder / 'pid'}",
    ]
    if os.environ[KIND] == Pooler.PREPARING:
        lines.append(f"max_prepared_statements = {STATEMENTS}")
    configuration = folder / "pgbouncer.ini"
    configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for path in (folder, *folder.iterdir()):
        os.chown(path, server.identity.owner_uid, server.identity.owner_gid)
    command = [*server.identity.prefix, os.environ[PROGRAM], "--daemon", "--quiet", str(configuration)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    deadline = time.monotonic() + START_SECONDS_MAX
    while done.returncode == 0 and not (folder / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if not (folder / "pid").exists():
        raise RuntimeError(f"pgbouncer did not start: {done.stderr}")
