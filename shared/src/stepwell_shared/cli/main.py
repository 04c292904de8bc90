"""Where the `stepwell` command starts. It loads what it is asked for, and no more: all of its commands take over a
second, and a service would hold them for as long as it runs.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from typing import Any

import typer
from typer.core import TyperGroup


def main() -> None:
    """Entry point of the `stepwell` command."""
    application(sys.argv[1:])()


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line for these arguments: with the command that they name, or with all commands."""
    app = typer.Typer(cls=_ByName, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_suite)
    for add_commands in commands_for(arguments):
        add_commands(app)
    return app


def commands_for(arguments: Sequence[str]) -> Iterator[Any]:
    """What adds the command of `stepwell` that these arguments name first; where they name none, all that there are.

    Each takes the Typer application. Shared declares its commands as services do theirs.
    """
    found = entry_points(group="stepwell.commands")
    asked = found.select(name=arguments[0]) if arguments else found
    for entry_point in {each.value: each for each in asked or found}.values():
        yield entry_point.load()


class _ByName(TyperGroup):
    """Its help shows the commands in the order of their names."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands)


def _suite() -> None:
    """Stepwell: stepped psychosomatic care over FHIR R4."""


if __name__ == "__main__":
    main()
