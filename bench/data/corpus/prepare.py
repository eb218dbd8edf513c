"""Preparing a tokenised, packed data set from text, in parallel and resumable."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.contract.storage.files import SOURCE_FILE
from bench.data.corpus import splits, tokenizer
from bench.data.corpus.errors import CorpusError
from bench.data.corpus.layout import complete, features_of, shard_path
from bench.data.corpus.packing import Pack, Shard, TokenStream, dropped_from, samples_in
from bench.data.corpus.pieces import Piece, pieces_of
from bench.data.corpus.text.reading import Reading
from bench.data.corpus.text.sources import SourceFile, facts_of, find
from bench.data.corpus.tokenise import Counts, Tokenise
from bench.data.corpus.workers import Workers
from bench.data.corpus.workplace import Workplace

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PIECE_BYTES = 16 << 20
SHARD_TOKENS = 1 << 26
TOKENIZER_BYTES = 256 << 20
"""Maximum number of characters that a tokenizer is trained on, taken evenly from the beginnings of all pieces."""


class Watch(Protocol):
    """Receiver of progress reports, such as `bench.data.corpus.display.CorpusDisplay`."""

    def stage(self, name: str, total: int) -> None:
        """Begin a stage that processes `total` bytes."""

    def advance(self, size: int) -> None:
        """Report that `size` more bytes are processed."""

    def say(self, sentence: str) -> None:
        """Show a message."""


@dataclass(frozen=True)
class Corpus:
    """Parameters of a data set made from text."""

    sources: list[str]
    tokenizer: str
    sequence_length: int
    text_field: str = "text"
    document_separator: str | None = None
    val_fraction: float = 0.01
    seed: int = 0
    workers: int = 1
    online: bool = False
    piece_bytes: int = PIECE_BYTES
    shard_tokens: int = SHARD_TOKENS

    @property
    def reading(self) -> Reading:
        """Settings of reading documents from files."""
        return Reading(self.text_field, self.document_separator)

    @property
    def division(self) -> splits.Division:
        """Division of documents between train and val."""
        return splits.Division(self.val_fraction, self.seed)


@dataclass(frozen=True)
class Prepared:
    """Result of `prepare`: whether the data set was made now, and the content of its `source.json`."""

    made: bool
    facts: dict[str, Any]


def prepare(out: Path, asked: Corpus, watch: Watch) -> Prepared:
    """Make the data set `out` unless it exists. After an interruption, finished pieces are reused.

    The same files and settings give the same bytes, whatever the number of workers and interruptions.

    Raises:
        CorpusError: the input cannot become a data set, or something else is at `out`.
        WorkerLostError: a worker process was killed.

    """
    size_to_train = tokenizer.size_to_train(asked.tokenizer)
    files = find(asked.sources, asked.online)
    given = None if size_to_train else tokenizer.existing(asked.tokenizer, asked.online)
    with Workers(asked.workers) as workers:
        wanted = {
            "kind": "text",
            "sequence_length": asked.sequence_length,
            "tokenizer": {"trained": size_to_train} if given is None else _named(asked.tokenizer, given),
            "val_fraction": asked.val_fraction,
            "seed": asked.seed,
            "text_field": asked.text_field,
            "document_separator": asked.document_separator,
            "files": _described(files, workers, watch),
        }
        place = Workplace(out)
        if out.exists() or out.is_symlink():
            there = _found(out, wanted)
            if place.path.exists():  # the last command was killed before its final step
                place.remove()
            return Prepared(False, there)
        with place.locked():
            if place.open({**wanted, "piece_bytes": asked.piece_bytes, "shard_tokens": asked.shard_tokens}):
                watch.say(f"{place.path}: begun with other files or settings: starting over")
            pieces = pieces_of(files, asked.reading, asked.piece_bytes)
            if not place.tokenizer.exists():
                watch.stage("reading the tokenizer" if given else "training the tokenizer", 0)
                made = given or tokenizer.train(_training_texts(pieces, asked), size_to_train or 0)
                tokenizer.save(made, place.tokenizer)
            facts = wanted | _make(asked, place, pieces, workers, watch)
            _complete(asked, place, facts)
            (place.dataset / SOURCE_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            place.dataset.rename(out)
            place.remove()
    return Prepared(True, facts)


def _named(name: str, given: PreTrainedTokenizerFast) -> dict[str, str]:
    return {"name": Path(name).name if Path(name).is_dir() else name, "sha256": tokenizer.tokenizer_digest(given)}


def _described(files: list[SourceFile], workers: Workers, watch: Watch) -> list[dict[str, object]]:
    """Return the facts of all files, in their order."""
    watch.stage("hashing the files", sum(file.size for file in files))
    facts: list[dict[str, object]] = [{} for _ in files]
    for number, found in workers.each(facts_of, list(enumerate(files))):
        facts[number] = found
        watch.advance(files[number].size)
    return facts


def _found(out: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of the existing data set; raise CorpusError if it is not the wanted one."""
    try:
        there = json.loads((out / SOURCE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        there = {}
    other = [key for key, value in wanted.items() if there.get(key) != value]
    if other:
        differs = f" (its {', '.join(other)})" if there.get("kind") == wanted["kind"] else ""
        raise CorpusError(f"{out}: already exists with other content{differs}: remove it, or choose another folder")
    return dict(there)


def _training_texts(pieces: list[Piece], asked: Corpus) -> Iterator[str]:
    """Yield documents of the train split: the first ones of every piece, up to the piece's share."""
    share = math.ceil(TOKENIZER_BYTES / max(1, len(pieces)))
    for piece in pieces:
        taken = 0
        for text in piece.documents(asked.reading):
            if taken >= share:
                break
            if asked.division.split(text.encode("utf-8")) == splits.TRAIN:
                taken += len(text)
                yield text


def _make(asked: Corpus, place: Workplace, pieces: list[Piece], workers: Workers, watch: Watch) -> dict[str, object]:
    """Tokenise the remaining pieces and pack all; return the facts that depend on the text."""
    watch.stage("tokenising", sum(piece.size for piece in pieces))
    waiting = []
    for piece in pieces:
        if place.tokens.finished(piece.number) is None:
            waiting.append(piece)
        else:
            watch.advance(piece.size)
    if waiting and len(waiting) < len(pieces):
        watch.say(f"{len(pieces) - len(waiting)} of {len(pieces)} pieces are already tokenised")
    tokenise = Tokenise(place.tokens, place.tokenizer, asked.reading, asked.division)
    for size in workers.each(tokenise, waiting):
        watch.advance(size)

    total, counts = Counts.none(), []
    for piece in pieces:
        found = place.tokens.finished(piece.number)
        if found is None:
            raise AssertionError(f"piece {piece.number} has no counts")
        counts.append(found)
        total.add(found)
    samples = _samples(total, asked)

    shards: list[Shard] = []
    for name in splits.NAMES:
        stream = TokenStream.of(place.tokens, name, [found.tokens[name] for found in counts])
        shards += _shards(place.dataset, stream, samples[name], asked)
    waiting_shards = [shard for shard in shards if not shard.path.exists()]
    watch.stage("packing", 4 * asked.sequence_length * sum(shard.stop - shard.start for shard in waiting_shards))
    for packed in workers.each(
        Pack(asked.sequence_length, features_of(asked.sequence_length).arrow_schema), waiting_shards
    ):
        watch.advance(4 * packed)

    encoder = tokenizer.encoder(place.tokenizer)
    return {
        "vocab_size": encoder.vocab_size,
        "end_of_text": encoder.end_of_text,
        "splits": samples,
        **total.model_dump(),
        "dropped_tokens": {name: dropped_from(total.tokens[name], asked.sequence_length) for name in splits.NAMES},
    }


def _complete(asked: Corpus, place: Workplace, facts: dict[str, object]) -> None:
    """Write the metadata and the tokenizer beside the samples."""
    fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    shards = {name: sorted((place.dataset / name).glob("data-*.arrow")) for name in splits.NAMES}
    complete(place.dataset, shards, features_of(asked.sequence_length), fingerprint)
    shutil.rmtree(place.dataset / "tokenizer", ignore_errors=True)
    shutil.copytree(place.tokenizer, place.dataset / "tokenizer")


def _samples(total: Counts, asked: Corpus) -> dict[str, int]:
    """Return the number of samples in every split.

    Raises:
        CorpusError: a split has none.

    """
    needed = asked.sequence_length + 1
    tokens = sum(total.tokens.values())
    if not tokens:
        raise CorpusError("the sources contain no text: every document is empty")
    samples = {name: samples_in(total.tokens[name], asked.sequence_length) for name in splits.NAMES}
    for name in splits.NAMES:
        if samples[name] == 0:
            enough = 2 * max(needed / tokens, 1 / sum(total.documents.values()))
            remedy = (
                f"a --val-fraction of about {enough:.2g}"
                if name == splits.VAL and enough < 0.5
                else "more and smaller documents (--document-separator divides text files)"
            )
            raise CorpusError(
                f"the {name} split would have {total.tokens[name]:,} of {tokens:,} tokens, from "
                f"{total.documents[name]:,} of {sum(total.documents.values()):,} documents, but one sample needs "
                f"{needed:,}: give more text, {remedy}, or a smaller --sequence-length"
            )
    return samples


def _shards(folder: Path, stream: TokenStream, samples: int, asked: Corpus) -> list[Shard]:
    (folder / stream.split).mkdir(exist_ok=True)
    step = max(1, asked.shard_tokens // asked.sequence_length)
    starts = range(0, samples, step)
    return [
        Shard(
            stream,
            shard_path(folder, stream.split, number, len(starts)),
            start,
            min(start + step, samples),
        )
        for number, start in enumerate(starts)
    ]
