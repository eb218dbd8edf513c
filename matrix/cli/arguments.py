"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MatrixFile = Annotated[Path, typer.Argument(help="matrix file (YAML)", metavar="MATRIX")]
SweepPath = Annotated[Path, typer.Argument(help="folder of a sweep, e.g. results/demo", metavar="SWEEP")]
Results = Annotated[Path, typer.Option("--results", help="folder of all sweeps", metavar="DIR")]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="keep these values of an axis", metavar="AXIS=VALUE[,VALUE]")
]
Except = Annotated[
    list[str] | None, typer.Option("--except", help="leave these values of an axis out", metavar="AXIS=VALUE[,VALUE]")
]
SystemOption = Annotated[
    str | None, typer.Option("--system", help="system file, in place of the matrix file's", metavar="FILE")
]
