"""Tables of exported files by ViewDefinitions, for `stepwell export --view`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import orjson
from rich.console import Console

from stepwell_shared.cli.errors import SetupError
from stepwell_shared.views.definition import View, view_of
from stepwell_shared.views.running import Row, rows_of_lines
from stepwell_shared.views.shipped import shipped_views
from stepwell_shared.views.values import ViewError
from stepwell_shared.views.writing import Format, write

__all__ = ["Format", "chosen_views", "write_tables"]


def chosen_views(names: Sequence[str]) -> list[View]:
    """The views of these names, of those that ship or of files. Raises SetupError for one that cannot be run."""
    return [_chosen(name) for name in names]


def _chosen(name: str) -> View:
    shipped = shipped_views()
    try:
        definition = shipped[name] if name in shipped else orjson.loads(Path(name).read_bytes())
        view = view_of(definition)
    except OSError as error:
        text = f"--view takes a file, or one of {', '.join(shipped)}; there is no {name}"
        raise SetupError(text) from error
    except (orjson.JSONDecodeError, ViewError) as error:
        raise SetupError(f"{name} is no view that can be run: {error}") from error
    if not view.name:
        raise SetupError(f"{name}: the ViewDefinition has no name to write its table under")
    return view


def write_tables(
    console: Console,
    views: Iterable[View],
    files: Sequence[tuple[str, Path]],
    folder: Path,
    kind: Format,
    bases: Sequence[str],
) -> None:
    """Writes the table of each view; `files` are those of an export with their types. Raises SetupError."""
    for view in views:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{view.name}.{kind}"
        own = [file for resource_type, file in files if resource_type == view.resource_type]
        try:
            count = write(view, _rows(view, own, bases), path, kind)
        except ViewError as error:
            raise SetupError(f"the view {view.name}: {error}") from error
        console.print(f"{path}: {count:,} rows")


def _rows(view: View, files: Iterable[Path], bases: Sequence[str]) -> Iterator[Row]:
    for file in files:
        with file.open("rb") as lines:
            try:
                yield from rows_of_lines(view, lines, bases=bases)
            except ViewError as error:
                raise ViewError(f"{file.name}, {error}") from error
