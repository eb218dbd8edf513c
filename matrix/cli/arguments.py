"""Arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from matrix.errors import InputError, suggestion

RESULTS = Path("results")
"""Folder of all sweeps, unless an option names another."""


def _is_sweep(folder: Path) -> bool:
    return (folder / "plan.json").is_file()


def _names() -> list[str]:
    """Return the names of the sweeps in the usual results folder."""
    return sorted(file.parent.name for file in RESULTS.glob("*/plan.json"))


def find_sweep(given: Path) -> Path:
    """Return the folder of a sweep from that folder, or from its name if it is in the usual results folder.

    Raises:
        InputError: there is no such sweep.

    """
    for folder in (given, RESULTS / given):
        if _is_sweep(folder):
            return folder
    if given.is_dir() or given.name != str(given):
        raise InputError(f"{given}: not the folder of a sweep (it has no plan.json)")
    names = _names()
    known = suggestion(given.name, names) if names else f" ({RESULTS}/ has none)"
    raise InputError(f"{given}: neither the name nor the folder of a sweep{known}")


def _complete_sweep(incomplete: str) -> Iterator[str]:
    yield from (name for name in _names() if name.startswith(incomplete))


MatrixFile = Annotated[Path, typer.Argument(help="matrix file (YAML)", metavar="MATRIX")]
SweepPath = Annotated[
    Path,
    typer.Argument(
        help="name of a sweep in results/, or its folder, e.g. results/demo",
        metavar="SWEEP",
        autocompletion=_complete_sweep,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON (docs/reference/json.md)")]
Results = Annotated[Path, typer.Option("--results", help="folder of all sweeps", metavar="DIR")]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="keep these values of an axis", metavar="AXIS=VALUE[,VALUE]")
]
Assignments = Annotated[
    list[str] | None,
    typer.Argument(
        help="keys to set in place of the matrix file's, or with system. the system file's, e.g. training.steps=64",
        metavar="[KEY=VALUE]...",
    ),
]
Except = Annotated[
    list[str] | None, typer.Option("--except", help="leave these values of an axis out", metavar="AXIS=VALUE[,VALUE]")
]
OnlySuspects = Annotated[
    Path | None,
    typer.Option("--only-suspects", help="keep what regressed, or may have, by `compare --json`", metavar="FILE"),
]
SystemOption = Annotated[
    str | None, typer.Option("--system", help="system file, in place of the matrix file's", metavar="FILE")
]
