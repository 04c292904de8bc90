"""Installs one service into a virtual environment: its code and what it needs, at the versions and hashes of
requirements.lock, the same bytes each time. Run in the build stage of deploy/Dockerfile, from the root of the sources:

    install_service.py SERVICE FOLDER      with uv beside the interpreter; `suite` for all four, to administer them
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

LOCK = Path("requirements.lock")
UV = Path(sys.executable).with_name("uv")
# What an installer writes down of itself: places and times of the build.
TRACES = ("direct_url.json", "uv_cache.json", "REQUESTED", "INSTALLER")
BILL = "sbom.cdx.json"
# What a library has for pictures, which none of our pages has.
EXCLUDED = ("pillow",)
# What is looked at seldom or never is compiled when it is.
UNCOMPILED = r"/(fontTools|pygments/(lexers|styles|formatters))/"
PROGRAMS = ("python", "stepwell")
# What packages bring along for those who build or test them.
SOURCES = (".c", ".cpp", ".h", ".hpp", ".pxd", ".pxi", ".pyx")
SUITE = "suite"
# Swagger UI comes with another page of documentation that nobody is shown.
UNUSED = ("fastapi_offline/static/redoc.standalone.js",)
TESTS = ("greenlet/tests", "sqlalchemy/testing", "alembic/testing", "mako/testing", "certifi/tests")


def install(service: str, folder: Path) -> None:
    """Makes the environment in a folder that is not there yet, and `sbom.cdx.json` in it.

    Raises CalledProcessError when a hash does not hold, ValueError when there is no such service or something is needed
    that the lock does not pin.
    """
    with tempfile.TemporaryDirectory() as wheels:
        for source in sources_of(service):
            _uv("build", "--wheel", "--build-constraints", str(LOCK), "--out-dir", wheels, str(source))
        # the interpreter that the other stages have too, not the one of the build's own environment
        _uv("venv", "--python", str(Path(sys.base_prefix) / "bin" / "python3"), str(folder))
        python = str(folder / "bin" / "python")
        ours = sorted(str(wheel) for wheel in Path(wheels).glob("*.whl"))
        excluded = Path(wheels) / "excluded.txt"
        excluded.write_text("\n".join(EXCLUDED), encoding="utf-8")
        options = ["--only-binary", ":all:", "--constraints", str(LOCK), "--excludes", str(excluded)]
        _uv("pip", "install", "--python", python, *options, *ours)
    for path in (folder / "bin").iterdir():
        if not path.name.startswith(PROGRAMS):
            path.unlink()
    packages = next(folder.glob("lib/python3*/site-packages"))
    remove_traces(packages)
    slim(packages)
    installed = sorted(distributions(path=[str(packages)]), key=_name)
    refuse_unpinned(installed, LOCK.read_text(encoding="utf-8"))
    bill = bill_of_materials(service, installed)
    (folder / BILL).write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    _compile(python, packages)


def sources_of(service: str) -> list[Path]:
    """The folders whose code goes into an image. Raises ValueError that lists what there is."""
    services = {path.parent.name: path.parent for path in sorted(Path("services").glob("*/pyproject.toml"))}
    if service not in {SUITE, *services}:
        raise ValueError(f"SERVICE is one of {', '.join([*services, SUITE])}, not {service!r}")
    return [Path("shared"), *(services.values() if service == SUITE else [services[service]])]


def remove_traces(packages: Path) -> None:
    """Takes away what tells where and when the packages were installed, from their lists of files too."""
    for information in packages.glob("*.dist-info"):
        for name in TRACES:
            (information / name).unlink(missing_ok=True)
        record = information / "RECORD"
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = sorted(line for line in lines if line.partition(",")[0].rpartition("/")[2] not in TRACES)
        record.write_text("".join(kept), encoding="utf-8")


def slim(packages: Path) -> None:
    """Takes away a third: symbols for debuggers, which is most of what some libraries weigh, sources of C and tests."""
    for name in TESTS:
        shutil.rmtree(packages / name, ignore_errors=True)
    for name in UNUSED:
        (packages / name).unlink(missing_ok=True)
    files = [path for path in packages.rglob("*") if path.is_file()]
    for path in files:
        if path.suffix in SOURCES:
            path.unlink()
    libraries = sorted(str(path) for path in files if ".so" in path.suffixes)
    subprocess.run(["strip", "--strip-unneeded", "--enable-deterministic-archives", *libraries], check=True)


def refuse_unpinned(installed: Iterable[Distribution], lock: str) -> None:
    """Raises ValueError naming every package, but our own, that is not there at exactly the version of the lock."""
    pinned = set(re.findall(r"^([\w.-]+==[^\s;\\]+)", lock, re.MULTILINE))
    loose = [f"{_name(each)}=={each.version}" for each in installed if not _name(each).startswith("stepwell-")]
    if missing := [each for each in loose if each not in pinned]:
        raise ValueError(f"requirements.lock does not pin {', '.join(missing)}: make lock")


def bill_of_materials(service: str, installed: Iterable[Distribution]) -> dict[str, Any]:
    """What is in the image beside its base, as CycloneDX 1.6; the same for the same packages."""
    components = [_component(each) for each in installed]
    main_name = "stepwell-shared" if service == SUITE else f"stepwell-{service}"
    main = next(each for each in components if each["name"] == main_name)
    content = json.dumps(components, sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {"component": {**main, "type": "application"}},
        "components": [each for each in components if each is not main],
    }


def _component(distribution: Distribution) -> dict[str, Any]:
    purl = f"pkg:pypi/{_name(distribution)}@{distribution.version}"
    component = {
        "type": "library",
        "bom-ref": purl,
        "name": _name(distribution),
        "version": distribution.version,
        "purl": purl,
    }
    metadata = distribution.metadata
    if "License-Expression" in metadata:
        return {**component, "licenses": [{"expression": metadata["License-Expression"]}]}
    classifiers = metadata.get_all("Classifier") or []
    names = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    return {**component, "licenses": [{"license": {"name": name}} for name in names]} if names else component


def _name(distribution: Distribution) -> str:
    """As PEP 503 and the lock write it."""
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()


def _compile(python: str, packages: Path) -> None:
    """Nothing is compiled at run time, where no file can be written; pyc files hold no time, as PEP 552 has it."""
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-x", UNCOMPILED]
    subprocess.run([python, "-m", "compileall", *options, str(packages)], check=True)


def _uv(*arguments: str) -> None:
    subprocess.run([str(UV), *arguments[:1], "--quiet", *arguments[1:]], check=True)


if __name__ == "__main__":
    install(sys.argv[1], Path(sys.argv[2]))
