"""The commands that make data sets. They import torch and `datasets` only when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from matrix.config import synthetic as synthetic_data
from matrix.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Make data sets.")


@app.command()
def synthetic(
    path: Annotated[Path, typer.Argument(help="folder to make", metavar="PATH")],
    vocab_size: Annotated[int, typer.Option("--vocab-size", min=2)] = synthetic_data.VOCAB_SIZE,
    sequence_length: Annotated[
        int, typer.Option("--sequence-length", min=2, help="tokens trained per sample")
    ] = synthetic_data.SEQUENCE_LENGTH,
    train_samples: Annotated[int, typer.Option("--train-samples", min=1)] = synthetic_data.TRAIN_SAMPLES,
    val_samples: Annotated[int, typer.Option("--val-samples", min=1)] = synthetic_data.VAL_SAMPLES,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Make a tokenised, packed data set from a Markov source of known entropy rate; an existing one is kept."""
    from bench.data.synthetic import SyntheticData, make_synthetic

    asked = SyntheticData(
        vocab_size=vocab_size,
        sequence_length=sequence_length,
        train_samples=train_samples,
        val_samples=val_samples,
        seed=seed,
    )
    try:
        made, entropy_rate = make_synthetic(path, asked)
    except (FileExistsError, ValueError) as error:
        raise InputError(str(error)) from error
    said = "made" if made else "already exists"
    typer.echo(f"{path} {said}: entropy rate {entropy_rate:.4f} nats per token, the lower bound of the loss")


@app.command()
def prepare(
    path: Annotated[Path, typer.Argument(help="folder to make", metavar="PATH")],
    sources: Annotated[
        list[str],
        typer.Argument(
            help="files, folders or globs of text, JSON lines or Parquet, or hub:OWNER/NAME[@REVISION][:PATTERN]",
            metavar="SOURCE...",
        ),
    ],
    sequence_length: Annotated[int, typer.Option("--sequence-length", min=2, help="tokens trained per sample")],
    tokenizer: Annotated[
        str,
        typer.Option("--tokenizer", help="folder, name on the hub, or train:SIZE to train one on the text"),
    ],
    text_field: Annotated[
        str, typer.Option("--text-field", help="field or column that holds the text", metavar="NAME")
    ] = "text",
    document_separator: Annotated[
        str | None,
        typer.Option(
            "--document-separator",
            help="line between documents of a text file (default: one document per file); '' is an empty line",
            metavar="LINE",
        ),
    ] = None,
    val_fraction: Annotated[
        float, typer.Option("--val-fraction", help="fraction of documents for validation", metavar="SHARE")
    ] = 0.01,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="number of processes (default: usable cores)", metavar="N")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="seed of the split into train and val")] = 0,
    online: Annotated[bool, typer.Option("--online", help="use the hub, not only its local cache")] = False,
) -> None:
    """Make a tokenised, packed data set from text; the same command resumes after a stop, and keeps a finished one."""
    import os

    from bench.data.corpus.display import CorpusDisplay
    from bench.data.corpus.errors import CorpusError, WorkerLostError
    from bench.data.corpus.prepare import Corpus
    from bench.data.corpus.prepare import prepare as prepare_corpus

    if not 0 < val_fraction < 1:
        raise InputError(f"--val-fraction {val_fraction}: should be between 0 and 1, for instance 0.01")
    asked = Corpus(
        sources=sources,
        tokenizer=tokenizer,
        sequence_length=sequence_length,
        text_field=text_field,
        document_separator=document_separator,
        val_fraction=val_fraction,
        seed=seed,
        workers=workers or len(os.sched_getaffinity(0)),
        online=online,
    )
    try:
        with CorpusDisplay(Console()) as display:
            prepared = prepare_corpus(path, asked, display)
    except CorpusError as error:
        raise InputError(str(error)) from error
    except WorkerLostError as error:
        typer.echo(f"xffl-bench: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("xffl-bench: interrupted; run the same command again to resume", err=True)
        raise typer.Exit(130) from None
    facts, said = prepared.facts, "made" if prepared.made else "already exists"
    typer.echo(
        f"{path} {said}: {facts['splits']['train']:,} train and {facts['splits']['val']:,} val samples of "
        f"{facts['sequence_length']:,} tokens, from {sum(facts['documents'].values()):,} documents "
        f"({sum(facts['text_bytes'].values()) / sum(facts['tokens'].values()):.2f} bytes per token); "
        f"vocabulary of {facts['vocab_size']:,}"
    )
