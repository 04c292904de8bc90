"""A container engine for the checks: Docker where one answers, else Podman from Debian, and a base image of Debian's
own packages where no registry is at hand."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.external.tools import SkippedError, need_programs

PACKAGES = ("podman", "runc", "mmdebstrap")
STAND_IN = "localhost/stepwell-base:bookworm"
# Where this machine has its own packages from; mmdebstrap takes either form.
SOURCES = (*sorted(Path("/etc/apt/sources.list.d").glob("debian.sources")), Path("/etc/apt/sources.list"))
# What a base with Python brings; what nobody reads in a container stays out of it.
IN_THE_BASE = "python3,python3-venv,ca-certificates,usr-is-merged"
# Makes /bin a part of /usr before anything is installed: else Debian's usrmerge does, which brings 50 MB of Perl.
MERGED = Path("/usr/share/mmdebstrap/hooks/merged-usr")
NOT_IN_THE_BASE = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# As a Pod of the restricted profile runs: nothing can be written, no capability is left, none can be won.
RESTRICTED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host")
# Shells are there in the base, and are of no use to anybody.
NO_SHELL = tuple(f"--volume=/dev/null:/usr/bin/{shell}:ro" for shell in ("dash", "bash"))
# Below what an engine would ask for, which only a privileged one may have.
LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")


@dataclass(frozen=True)
class Engine:
    """How to build and to run, by a program that takes Docker's arguments."""

    program: str

    @property
    def is_podman(self) -> bool:
        return Path(self.program).name == "podman"

    def build(self, context: Path, tag: str, arguments: Mapping[str, str], *, again: bool = False) -> None:
        """Builds deploy/Dockerfile; `again` from nothing."""
        command = [self.program, "build", "--network=host", f"--tag={tag}", "--file", "deploy/Dockerfile"]
        command += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        command += ["--no-cache"] if again else []
        if self.is_podman:
            command += ["--isolation=chroot", f"--timestamp={arguments['SOURCE_DATE_EPOCH']}"]
        self._run([*command, "."], context)

    def running(self, image: str, arguments: Sequence[str], options: Sequence[str] = ()) -> list[str]:
        """The command that runs an image as Kubernetes would, without a shell, until it ends."""
        runtime = ["--runtime=runc", "--read-only-tmpfs=false"] if self.is_podman else []
        return [self.program, "run", "--rm", *runtime, *LIMITS, *RESTRICTED, *NO_SHELL, *options, image, *arguments]

    def remove(self, container: str) -> None:
        """Removes a container, if it is there."""
        subprocess.run([self.program, "rm", "--force", container], capture_output=True, check=False)

    def said(self, *arguments: str) -> str:
        """What the engine answers."""
        return self._run([self.program, *arguments]).strip()

    def _run(self, command: Sequence[str], folder: Path | None = None) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command[:2])} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout


def need_engine() -> Engine:
    """An engine that works, installed where it can be. Raises SkippedError where it cannot."""
    docker = shutil.which("docker")
    if docker is not None and _answers([docker, "info"]):
        return Engine(docker)
    need_programs("a container engine", PACKAGES, PACKAGES)
    podman = shutil.which("podman")
    if podman is None or not _answers([podman, "info"]):
        raise SkippedError("needs a container engine: no Docker answers, and Podman does not work here")
    return Engine(podman)


def need_base(engine: Engine) -> str:
    """The image that services are built on: IMAGES_BASE, else one made of Debian's packages."""
    if named := os.environ.get("IMAGES_BASE"):
        return named
    if not engine.said("images", "--quiet", STAND_IN):
        print(f"making {STAND_IN} of Debian's packages ...", flush=True)
        _make_stand_in(engine)
    return STAND_IN


def _make_stand_in(engine: Engine) -> None:
    sources = next((each for each in SOURCES if each.exists()), None)
    if os.geteuid() != 0 or not shutil.which("mmdebstrap") or sources is None:
        raise SkippedError("needs a base image: IMAGES_BASE=python:3.12-slim-bookworm, or root on Debian")
    left_out = [f"--dpkgopt=path-exclude={path}" for path in NOT_IN_THE_BASE]
    # Trust what this machine trusts: behind some proxies nothing else works.
    trusting = [f"--customize-hook=copy-in {CERTIFICATES} {CERTIFICATES.parent}"] if CERTIFICATES.exists() else []
    trusting.append(f"--customize-hook=printf '[global]\\ncert = {CERTIFICATES}\\n' >\"$1/etc/pip.conf\"")
    merged = [f"--hook-dir={MERGED}"] if MERGED.exists() else []
    make = ["mmdebstrap", "--quiet", "--variant=apt", f"--include={IN_THE_BASE}", *merged, *left_out, *trusting]
    with subprocess.Popen([*make, "bookworm", "-", str(sources)], stdout=subprocess.PIPE) as made:
        load = [engine.program, "import", "--change=ENV UV_SYSTEM_CERTS=1", "-", STAND_IN]
        loaded = subprocess.run(load, stdin=made.stdout, capture_output=True, text=True, check=False)
    if made.returncode != 0 or loaded.returncode != 0:
        raise SkippedError(f"a base image could not be made of Debian's packages: {loaded.stderr[-300:]}")


def _answers(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
