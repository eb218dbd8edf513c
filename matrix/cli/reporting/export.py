"""`xffl-bench export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.arguments import SweepPath, find_sweep
from matrix.cli.screen import screen
from reports.data.words import counted


def export(
    sweep: SweepPath,
    out: Annotated[
        Path | None,
        typer.Argument(help="new archive (.tar.gz) or folder (SWEEP.tar.gz here)", metavar="OUT"),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="replace names of hosts, users and accounts, and home folders")
    ] = False,
) -> None:
    """Pack a sweep for others: inputs, versions, results, steps.

    The pack has checksums, and is a sweep like any other for `report`. With --public, every host, user and account has
    a pseudonym, the same in all files. Logs are not packed, and what looks like a secret is removed.
    """
    import json

    from matrix.publishing.archive import write_pack
    from matrix.publishing.names import names_of
    from matrix.publishing.pack import MANIFEST, PackedSweep
    from matrix.store.sweep_folder import SweepFolder

    folder = SweepFolder(find_sweep(sweep))
    files = PackedSweep(folder, names_of(folder) if public else None).files()
    manifest = json.loads(files[MANIFEST])
    name = manifest["sweep"]
    written = out or Path(f"{name}.tar.gz")
    write_pack(files, name, written)
    console = screen()
    for path in manifest["left_out"]:
        console.print(f"left out, because it is damaged: {path}")
    console.print(
        f"{written}: {counted(manifest['results'], 'result')} of {counted(manifest['runs'], 'run')} "
        f"in {counted(len(files), 'file')}"
    )
    if public:
        console.print("Hosts, users and accounts have pseudonyms. Look through matrix.yaml and system.yaml yourself.")
