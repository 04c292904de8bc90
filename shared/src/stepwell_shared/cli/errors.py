"""How a command ends: what is wrong with the machine or its settings is told in a sentence, never as a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import asyncpg
import typer

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS

FAILED, INTERRUPTED = 1, 130


class SetupError(Exception):
    """What is wrong with the machine or its settings, and what the person at the terminal can do next."""


@contextmanager
def told_plainly(*also: type[Exception]) -> Iterator[None]:
    """Around a command: a SetupError, or one of `also`, becomes a sentence on stderr and exit code 1."""
    told: tuple[type[Exception], ...] = (SetupError, *also)
    try:
        yield
    except told as error:
        fail(_sentence(str(error)))


@contextmanager
def database_told_plainly(*also: type[Exception]) -> Iterator[None]:
    """As `told_plainly`, around what asks a database: whether it answers, and has the tables of this release."""
    try:
        with told_plainly(*also):
            yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError):
        fail("The database is not at this release: run `stepwell migrate` first.")
    except UNAVAILABLE_ERRORS as error:
        fail(f"The database does not answer ({type(error).__name__}): is it running, and is its URL right?")


@contextmanager
def resumable(*also: type[Exception]) -> Iterator[None]:
    """As `told_plainly`, around a command that goes on where it was when it is run again: Ctrl-C says so."""
    try:
        with told_plainly(*also):
            yield
    except KeyboardInterrupt:
        typer.echo("Stopped. Run the same command again: it goes on where it was.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def fail(sentence: str) -> NoReturn:
    """Ends the command with a sentence on stderr."""
    typer.echo(sentence, err=True)
    raise typer.Exit(FAILED)


def _sentence(text: str) -> str:
    start = text[:1] if text.startswith("http") else text[:1].upper()  # an address stays what it is
    return f"{start}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
