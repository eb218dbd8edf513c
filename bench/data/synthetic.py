"""Data sets drawn from a source of known entropy rate, which bounds the loss from below."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import datasets

from bench.contract.storage.files import SOURCE_FILE
from bench.data.markov import MarkovSource

datasets.disable_progress_bars()  # ranks print into logs


@dataclass(frozen=True)
class SyntheticData:
    """Parameters of a data set drawn from a Markov source."""

    vocab_size: int
    sequence_length: int
    train_samples: int
    val_samples: int
    branching: int = 8
    seed: int = 0


def make_synthetic(path: Path, asked: SyntheticData) -> tuple[bool, float]:
    """Write the data set unless it exists; return whether it was written, and its entropy rate in nats per token.

    A sample has `sequence_length` + 1 tokens, so that `sequence_length` of them have a successor to predict.

    Raises:
        FileExistsError: something else is at `path`.

    """
    source = MarkovSource.from_seed(asked.vocab_size, asked.branching, asked.seed)
    splits = {"train": asked.train_samples, "val": asked.val_samples}
    facts: dict[str, object] = {
        "kind": "markov",
        "vocab_size": asked.vocab_size,
        "sequence_length": asked.sequence_length,
        "branching": asked.branching,
        "seed": asked.seed,
        "splits": splits,
        "entropy_rate": source.entropy_rate,
    }
    if path.exists():
        if _says(path / SOURCE_FILE, facts):
            return False, source.entropy_rate
        raise FileExistsError(f"{path}: already exists with other content: remove it, or choose another folder")
    length = asked.sequence_length + 1
    features = datasets.Features({"input_ids": datasets.List(datasets.Value("int32"), length=length)})
    dataset = datasets.DatasetDict(
        {
            name: datasets.Dataset.from_dict(
                {"input_ids": source.sample(samples, length, seed=asked.seed + 1 + place)}, features=features
            )
            for place, (name, samples) in enumerate(splits.items())
        }
    )
    beside = path.with_name(f".{path.name}.part")
    dataset.save_to_disk(str(beside))
    (beside / SOURCE_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    beside.rename(path)
    return True, source.entropy_rate


def _says(file: Path, facts: dict[str, object]) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")) == facts)
    except (FileNotFoundError, ValueError):
        return False


def entropy_rate(path: Path) -> float | None:
    """Return the lower bound of the loss in nats per token; None if the data set's source is unknown."""
    file = path / SOURCE_FILE
    if not file.exists():
        return None
    value = json.loads(file.read_text(encoding="utf-8")).get("entropy_rate")
    return None if value is None else float(value)
