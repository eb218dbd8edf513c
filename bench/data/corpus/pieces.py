"""Pieces of a corpus: the unit of work of a worker, and of what survives an interruption."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.data.corpus.text.reading import Part, Reading, documents, parts_of
from bench.data.corpus.text.sources import SourceFile


@dataclass(frozen=True)
class Piece:
    """Consecutive parts of the corpus."""

    number: int
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Size in the files, in bytes."""
        return sum(part.size for part in self.parts)

    def documents(self, reading: Reading) -> Iterator[str]:
        """Yield the documents in the order of the corpus."""
        for part in self.parts:
            yield from documents(part, reading)


def pieces_of(files: Iterable[SourceFile], reading: Reading, limit: int) -> list[Piece]:
    """Divide a corpus into pieces of about `limit` bytes; indivisible parts may be larger.

    Raises:
        CorpusError: a file's content does not match its name.

    """
    groups: list[list[Part]] = []
    filled = limit
    for file in files:
        for part in parts_of(file, reading, limit):
            if filled + part.size > limit:
                groups.append([])
                filled = 0
            groups[-1].append(part)
            filled += part.size
    return [Piece(number, tuple(parts)) for number, parts in enumerate(groups)]
