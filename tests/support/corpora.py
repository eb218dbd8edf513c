"""Small texts, and data sets made of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from datasets import load_from_disk

from bench.data.corpus.prepare import Corpus

SEPARATOR = "%"


class Sentences:
    """Takes the place of the display, and notes what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, name: str, total: int) -> None:
        pass

    def advance(self, size: int) -> None:
        pass

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def stories(number: int) -> list[str]:
    """Different short documents, with letters that take several bytes."""
    return [
        f"C'era una volta la {i}ª città, dove {'piove ' * (i % 7)}e c'è il caffè n. {i * i}.\nPerché? «Così» 🐈\n"
        for i in range(number)
    ]


def write_text(path: Path, documents: list[str]) -> Path:
    path.write_text(f"{SEPARATOR}\n".join(documents), encoding="utf-8")
    return path


def write_json_lines(path: Path, documents: list[str]) -> Path:
    path.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(documents)))
    return path


def corpus(*sources: Path | str, **settings: object) -> Corpus:
    """A request with small samples, a tokenizer of its own and a fifth of the documents in val."""
    wanted = {
        "tokenizer": "train:300",
        "sequence_length": 16,
        "document_separator": SEPARATOR,
        "val_fraction": 0.2,
    }
    return Corpus(sources=[str(source) for source in sources], **(wanted | settings))


def stream(out: Path, split: str) -> npt.NDArray[np.int64]:
    """A split's tokens, from its samples, each of which repeats the last token of the one before."""
    samples = np.array(load_from_disk(str(out))[split]["input_ids"])
    assert np.array_equal(samples[1:, 0], samples[:-1, -1])
    return np.concatenate([samples[0, :1], samples[:, 1:].reshape(-1)])


def files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
