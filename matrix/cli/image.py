"""`xffl-bench image`: the container image that ranks can run in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Build and verify a container image for ranks.")

Image = Annotated[Path, typer.Argument(help="image file", metavar="SIF")]
Program = Annotated[
    str | None, typer.Option("--program", help="Apptainer or Singularity (the first found in PATH)", metavar="NAME")
]


@app.command()
def build(
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or rocm", metavar="DEVICE")] = "cuda",
    base: Annotated[
        str | None, typer.Option("--from", help="base image (a vendor's PyTorch image)", metavar="BASE")
    ] = None,
    bootstrap: Annotated[
        str, typer.Option("--bootstrap", help="kind of base: docker, localimage, oci-archive ...", metavar="KIND")
    ] = "docker",
    xffl: Annotated[bool, typer.Option("--xffl", help="include the xFFL library, at its pinned commit")] = False,
    out: Annotated[Path, typer.Option("--out", help="image to write", metavar="SIF")] = Path("bench.sif"),
    bind: Annotated[
        list[str] | None,
        typer.Option("--bind", help="mount from this machine for the build, such as a mirror", metavar="SRC:DST"),
    ] = None,
    tmp: Annotated[
        Path | None, typer.Option("--tmp", help="folder for temporary files (the fastest with enough space)")
    ] = None,
    program: Program = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, and stop")] = False,
) -> None:
    """Build an image, and write its digest and package list next to it."""
    from matrix.errors import InputError, suggestion
    from matrix.image.apptainer import ImageError, find_program
    from matrix.image.base import DEFAULTS, find_base
    from matrix.image.build import Build, check_out, described, freeze_file, make
    from matrix.image.build_folder import build_folder
    from matrix.image.context import find_checkout

    chosen = next((known for known in DEFAULTS if known == device), None)
    if chosen is None:
        raise InputError(f"--device {device}: unknown device{suggestion(device, DEFAULTS)}")
    check_out(out)
    build = Build(
        checkout=find_checkout(Path(__file__).parents[2]),
        base=find_base(chosen, bootstrap, base),
        device=chosen,
        xffl=xffl,
        out=out,
        program=find_program(program),
        tmp=build_folder(tmp, out, chosen).absolute(),
        binds=tuple(bind or ()),
    )
    if dry_run:
        typer.echo(described(build))
        return
    try:
        digest = make(build)
    except ImageError as error:
        typer.echo(f"xffl-bench: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("xffl-bench: interrupted; nothing was written", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{out}: {out.stat().st_size / (1 << 20):.0f} MiB, sha256 {digest}; packages in {freeze_file(out)}")


@app.command()
def inspect(image: Image, program: Program = None) -> None:
    """Print an image's labels, digest and packages."""
    from matrix.image.apptainer import find_program
    from matrix.image.sif import inspect as inspect_image

    found = inspect_image(find_program(program), image)
    for name, value in {**found.labels, "sha256": found.digest, "packages": str(len(found.packages))}.items():
        typer.echo(f"{name:8}  {value}")
    typer.echo("\n".join(found.packages))


@app.command()
def verify(image: Image, program: Program = None) -> None:
    """Check an image's digest, train with two ranks in it, and call its commands."""
    from rich.console import Console

    from matrix.check.image import verify as verify_image
    from matrix.check.item import State
    from matrix.image.apptainer import find_program

    console = Console(soft_wrap=True, highlight=False)
    is_whole = True
    for item in verify_image(find_program(program), image):
        is_whole &= item.state is State.OK
        mark = "✓" if item.state is State.OK else "✗"
        remedy = f" -> {item.remedy}" if item.remedy else ""
        console.print(f"{mark} {item.name}  {item.found}{remedy}", markup=False)
    if not is_whole:
        raise typer.Exit(1)
