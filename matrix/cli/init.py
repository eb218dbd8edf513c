"""The command `init`: a matrix and a system file to begin with, made from the examples."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from matrix.errors import InputError, suggestion

EXAMPLES = Path(__file__).parents[1] / "examples"
STARTER = "starter"
OF_EXAMPLE = "-system"
"""What the name of an example's own system file ends in."""
_DATA = "../../data/"
"""What paths of data begin with in the examples, which are two folders below it."""


def _key(text: str, key: str) -> str | None:
    """Return the value of a key at the top of an example, None without it."""
    found = re.search(rf"^{key}: *([^#\n]*?) *(?:#.*)?$", text, re.MULTILINE)
    return found[1] if found else None


def _with(text: str, key: str, value: str) -> str:
    """Return an example with another value for a key at its top; the comment of that line is kept."""
    return re.sub(
        rf"^({key}: *)[^#\n]*?( *#.*)?$", lambda old: f"{old[1]}{value}{old[2] or ''}", text, flags=re.MULTILINE
    )


def _read(name: str) -> str:
    return (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")


def examples() -> list[str]:
    """Return the names of all examples: matrix files, and systems that do not belong to one of them."""
    return sorted(file.stem for file in EXAMPLES.glob("*.yaml") if not file.stem.endswith(OF_EXAMPLE))


def pair(example: str) -> tuple[str, str]:
    """Return the matrix and the system file of an example; that of a system goes with the starter's matrix.

    Raises:
        InputError: there is no such example.

    """
    known = examples()
    if example not in known:
        raise InputError(f"--from {example}: not an example{suggestion(example, known)}")
    text = _read(example)
    if _key(text, "axes") is None:
        return _read(STARTER), text
    return text, _read((_key(text, "system") or "local").removesuffix(".yaml"))


def init(
    name: Annotated[
        str | None, typer.Argument(help="name of the sweep and of both files (the example's)", metavar="[NAME]")
    ] = None,
    example: Annotated[str, typer.Option("--from", help="example to copy", metavar="EXAMPLE")] = STARTER,
    force: Annotated[bool, typer.Option("--force", help="replace existing files")] = False,
) -> None:
    """Write a matrix and a system file to begin with.

    NAME.yaml and NAME-system.yaml are written to the current folder, with comments on their keys.
    """
    from matrix.config.values import NAME_PATTERN

    matrix, system = pair(example)
    name = name or ("my-sweep" if example == STARTER else example)
    if not re.fullmatch(NAME_PATTERN, name):
        raise InputError(f"{name!r}: should be letters, digits and any of . _ + - (60 at most)")
    paths = Path(f"{name}.yaml"), Path(f"{name}-system.yaml")
    existing = [str(path) for path in paths if path.exists()]
    if existing and not force:
        raise InputError(f"{' and '.join(existing)} already there: choose another name, or replace with --force")
    contents = _with(_with(matrix, "name", name), "system", paths[1].name).replace(_DATA, "data/"), system
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content, encoding="utf-8")
    typer.echo(f"wrote {paths[0]} and {paths[1]}; next: xffl-bench plan {paths[0]}")
