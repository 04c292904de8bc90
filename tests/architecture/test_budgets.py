"""Sizes that keep a file readable in one sitting, and a docstring that says what each module is for."""

import ast
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE_LINES_MAX = 400
TEST_FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70


def python_files(*folders: str) -> list[Path]:
    """The Python files below the folders that somebody wrote by hand, as paths from the repository's root."""
    found = sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))
    assert found, f"no Python file below {folders}"
    return [path for path in found if "node_modules" not in path.parts]


def functions_of(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the `def` to the end of the body."""
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def begins_with_words(path: Path) -> bool:
    """Whether the first that stands in a file, but for comments, is a string that says something."""
    with path.open("rb") as lines:
        for token in tokenize.tokenize(lines.readline):
            if token.type not in {tokenize.ENCODING, tokenize.COMMENT, tokenize.NL}:
                return token.type == tokenize.STRING and bool(ast.literal_eval(token.string).strip())
    return False


def is_migration(path: Path) -> bool:
    return "migrations" in path.parts and "versions" in path.parts


@pytest.mark.parametrize(
    ("folder", "lines_max"),
    [("shared", MODULE_LINES_MAX), ("services", MODULE_LINES_MAX), ("tests", TEST_FILE_LINES_MAX)],
)
def test_no_file_is_longer_than_its_budget(folder: str, lines_max: int) -> None:
    counts = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in python_files(folder)}
    too_long = {str(path): count for path, count in counts.items() if count > lines_max and not is_migration(path)}
    assert too_long == {}, "split the file by what its parts are for"


def test_no_function_is_longer_than_its_budget() -> None:
    too_long = [
        f"{path}:{function.lineno} {function.name} has {lines_of(function)} lines"
        for path in python_files("shared", "services", "tests")
        if not is_migration(path)
        for function in functions_of(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if lines_of(function) > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path) for path in python_files("shared", "services", "tests") if not begins_with_words(ROOT / path)]
    assert silent == []


@pytest.mark.parametrize(
    ("text", "found"), [("", False), ("x = 1\n", False), ('""" """\n', False), ("# why\n\n'for what'\nx = 1\n", True)]
)
def test_only_a_string_that_says_something_is_a_docstring(text: str, found: bool, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(text, encoding="utf-8")
    assert begins_with_words(tmp_path / "module.py") is found


def test_the_measure_counts_a_function_from_def_to_its_last_line() -> None:
    tree = ast.parse("def short():\n    pass\n\nasync def longer(\n    a,\n):\n    return a\n")
    assert [lines_of(function) for function in functions_of(tree)] == [2, 4]
