"""The tokenizer of a data set: an existing one, or a byte-level BPE trained on the text itself."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from bench.data.corpus.errors import CorpusError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
SMALLEST = 257  # all bytes, and the end-of-text token
_TRAINED = re.compile(r"train:(?P<size>\d+)")
_FACTS = "encoding.json"


def size_to_train(asked: str) -> int | None:
    """Return the vocabulary size of `train:SIZE`; None if `asked` names an existing tokenizer.

    Raises:
        CorpusError: the size is not a number, or too small for every byte.

    """
    found = _TRAINED.fullmatch(asked)
    if found is None:
        if asked.startswith("train:"):
            raise CorpusError(f"--tokenizer {asked}: should be train:SIZE with a whole number, for instance train:4096")
        return None
    if int(found["size"]) < SMALLEST:
        raise CorpusError(
            f"--tokenizer {asked}: SIZE should be at least {SMALLEST}: 256 bytes and the end-of-text token"
        )
    return int(found["size"])


def train(texts: Iterator[str], size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE like GPT-2's: lossless, and deterministic in the texts.

    The vocabulary is smaller than `size` if too few pairs occur twice in the text.
    """
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415  imports torch, which workers do not need

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=END_OF_TEXT, bos_token=END_OF_TEXT, clean_up_tokenization_spaces=False
    )


def existing(name: str, online: bool) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a folder or of the hub; without `online`, only from the hub's cache.

    Raises:
        CorpusError: there is none, or it is unsuitable.

    """
    from transformers import AutoTokenizer  # noqa: PLC0415  imports torch, which workers do not need

    folder = Path(name).is_dir()
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            name,
            local_files_only=folder or not online,
            trust_remote_code=False,  # else a person at a terminal is asked whether to run it
        )
    except (OSError, ValueError) as error:
        if folder:
            raise CorpusError(
                f"--tokenizer {name}: the folder contains no tokenizer that transformers can read without running code"
            ) from error
        remedy = "it could not be downloaded" if online else "--online downloads it"
        raise CorpusError(
            f"--tokenizer {name}: is neither a folder nor a tokenizer in the hub's cache: {remedy}; "
            "train:SIZE trains one on the text"
        ) from error
    if not tokenizer.is_fast:
        raise CorpusError(f"--tokenizer {name}: cannot be read by the `tokenizers` library: choose a fast tokenizer")
    if tokenizer.eos_token_id is None:
        raise CorpusError(f"--tokenizer {name}: has no end-of-text token (eos_token), which separates documents")
    return tokenizer


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return a SHA-256 over everything that determines a text's tokens."""
    said = tokenizer.backend_tokenizer.to_str() + f"\n{tokenizer.eos_token_id}"
    return hashlib.sha256(said.encode()).hexdigest()


def save(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a tokenizer for `AutoTokenizer.from_pretrained`, atomically."""
    beside = folder.with_name(f".{folder.name}.part")
    tokenizer.save_pretrained(str(beside))
    facts = {"end_of_text": tokenizer.eos_token_id, "vocab_size": _rows(tokenizer)}
    (beside / _FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    beside.rename(folder)


def _rows(tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the number of rows that an embedding needs: one for every id up to the largest."""
    return max(len(tokenizer), 1 + max(map(int, tokenizer.get_vocab().values())))


class Encoder:
    """Encoder of texts to tokens, from a folder written by `save`. Imports neither torch nor transformers."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # The end-of-text token's name in a text is ordinary text.
        self._tokenizer.encode_special_tokens = True
        facts: dict[str, Any] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        self.end_of_text = int(facts["end_of_text"])
        self.vocab_size = int(facts["vocab_size"])

    def encode(self, texts: list[str]) -> list[npt.NDArray[np.int32]]:
        """Return the tokens of every text, each followed by the end-of-text token."""
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array([*encoding.ids, self.end_of_text], dtype=np.int32) for encoding in encodings]


@cache
def encoder(folder: Path) -> Encoder:
    """Return the encoder of a folder, cached per process."""
    return Encoder(folder)
