"""The site: it builds with nothing wrong, every page is in its menu, and a link that leads nowhere is refused."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
HOOKS = runpy.run_path(str(ROOT / "shared/scripts/site_hooks.py"))


def build(place: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """The site of the repository at `place`."""
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--config-file",
        str(place / "mkdocs.yml"),
        "--site-dir",
        str(site),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)


def test_the_site_builds_and_has_every_page_in_its_menu(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    menu = (tmp_path / "index.html").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 20
    assert [page for page in pages if f'href="{page}"' not in menu] == []
    assert "docs/pictures" not in menu


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "docs").mkdir(parents=True)
    for name in ("mkdocs.yml", "README.md", "CHANGELOG.md", "shared/scripts/site_hooks.py"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    config = (place / "mkdocs.yml").read_text(encoding="utf-8")
    (place / "mkdocs.yml").write_text(re.sub(r"\nnav:\n.*", '\nnav:\n  - "*.md"\n', config, flags=re.DOTALL))
    (place / "README.md").write_text("[Here](docs/page.md)", encoding="utf-8")
    (place / "docs" / "page.md").write_text("[well](../README.md)", encoding="utf-8")
    assert build(place, tmp_path / "site").returncode == 0
    for link in ("[gone](gone.md)", "[gone](../shared/gone.py)", "[gone](../README.md#gone)"):
        (place / "docs" / "page.md").write_text(link, encoding="utf-8")
        assert build(place, tmp_path / "site").returncode != 0, link


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("README.md", "[x](docs/demo.md)", "[x](demo.md)"),
        ("README.md", "[x](docs/pictures/services.svg)", "[x](pictures/services.svg)"),
        ("docs/guides/operator.md", "[x](../../CHANGELOG.md#top)", "[x](../changelog.md#top)"),
        ("docs/guides/operator.md", "[x](../demo.md)", "[x](../demo.md)"),
        ("docs/demo.md", "[x](../Makefile)", "x (`Makefile`)"),
        ("docs/demo.md", "[Makefile](../Makefile)", "`Makefile`"),
        ("docs/demo.md", "[x](../nothing)", "[x](../nothing)"),
        ("docs/demo.md", "[x](https://hl7.org)", "[x](https://hl7.org)"),
    ],
)
def test_a_link_is_what_it_is_on_the_site(source: str, link: str, expected: str) -> None:
    match = HOOKS["LINK"].fullmatch(link)
    assert match is not None
    assert HOOKS["link_on_site"](match, PurePosixPath(source)) == expected
