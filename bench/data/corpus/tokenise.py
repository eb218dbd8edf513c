"""Tokenising one piece of a corpus into files, one per split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench.contract.storage.files import write_document
from bench.data.corpus import splits, tokenizer
from bench.data.corpus.pieces import Piece
from bench.data.corpus.text.reading import Reading
from bench.data.corpus.whole import written_whole

_BATCH_BYTES = 1 << 20


class Counts(BaseModel):
    """Counts of a piece or a corpus, by split. Bytes are UTF-8; end-of-text tokens count as tokens."""

    model_config = ConfigDict(extra="forbid")

    documents: dict[str, int]
    tokens: dict[str, int]
    text_bytes: dict[str, int]
    empty_documents: int = 0

    @classmethod
    def none(cls) -> Counts:
        """Return zero counts."""
        return cls(**{key: dict.fromkeys(splits.NAMES, 0) for key in ("documents", "tokens", "text_bytes")})

    def add(self, other: Counts) -> None:
        """Add other counts to these."""
        for name in splits.NAMES:
            self.documents[name] += other.documents[name]
            self.tokens[name] += other.tokens[name]
            self.text_bytes[name] += other.text_bytes[name]
        self.empty_documents += other.empty_documents


@dataclass(frozen=True)
class TokenFolder:
    """Folder of the pieces' tokens: raw little-endian int32."""

    path: Path

    def tokens(self, piece: int, split: str) -> Path:
        """Return the file with a piece's tokens of one split."""
        return self.path / f"{piece:06d}.{split}.int32"

    def counts(self, piece: int) -> Path:
        """Return the file with a piece's counts; written last, so a piece that has it is finished."""
        return self.path / f"{piece:06d}.json"

    def finished(self, piece: int) -> Counts | None:
        """Return a piece's counts; None if it is not finished."""
        try:
            return Counts.model_validate_json(self.counts(piece).read_bytes())
        except FileNotFoundError:
            return None


@dataclass(frozen=True)
class Tokenise:
    """Tokeniser of pieces of a corpus. Documents of white space only are left out."""

    folder: TokenFolder
    tokenizer: Path
    reading: Reading
    division: splits.Division

    def __call__(self, piece: Piece) -> int:
        """Write a piece's tokens, then its counts; return its size in bytes.

        Raises:
            CorpusError: the text cannot be read.

        """
        encoder, counts = tokenizer.encoder(self.tokenizer), Counts.none()
        with ExitStack() as stack:
            files = {
                name: stack.enter_context(written_whole(self.folder.tokens(piece.number, name)))
                for name in splits.NAMES
            }
            for batch in _batches(self._texts(piece, counts)):
                for (name, _), tokens in zip(batch, encoder.encode([text for _, text in batch]), strict=True):
                    files[name].write(tokens.astype("<i4", copy=False).tobytes())
                    counts.tokens[name] += len(tokens)
        write_document(self.folder.counts(piece.number), counts)
        return piece.size

    def _texts(self, piece: Piece, counts: Counts) -> Iterator[tuple[str, str]]:
        for text in piece.documents(self.reading):
            if not text.strip():
                counts.empty_documents += 1
                continue
            content = text.encode("utf-8")
            name = self.division.split(content)
            counts.documents[name] += 1
            counts.text_bytes[name] += len(content)
            yield name, text


def _batches(texts: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    length = 0
    for name, text in texts:
        batch.append((name, text))
        length += len(text)
        if length >= _BATCH_BYTES:
            yield batch
            batch, length = [], 0
    if batch:
        yield batch
