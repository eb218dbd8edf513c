"""The console that commands print to."""

from __future__ import annotations

from rich.console import Console


def screen() -> Console:
    """Return a console for stdout: sentences are wrapped on a terminal, and whole lines of a file or pipe.

    Nothing that is printed is markup: host names, paths and reasons may hold brackets.
    """
    console = Console(markup=False)
    console.soft_wrap = not console.is_terminal
    return console
