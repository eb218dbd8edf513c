"""Checks of a data set on disk before anything starts: what its ranks would otherwise find after the queue.

Reads what is cheap to read: the JSON files that `save_to_disk` writes, and of each Arrow file the number of rows and
the first and last batch of rows (of 1,000, as the datasets library writes them).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix.config import lfs
from matrix.errors import InputError, closest

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS = ("train", "val")
COLUMN = "input_ids"
PREPARE = "prepare it with `xffl-bench data prepare`"
_LISTS = ("List", "LargeList", "Sequence")
_DESCRIPTION = "dataset_dict.json"
_TEXT = (".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".zst")
"""Suffixes of what `xffl-bench data prepare` reads."""
_FROM_TEXT = "make a data set of it with `xffl-bench data prepare` (docs/guides/data.md), and give that folder"


@dataclass(frozen=True)
class DataNeeds:
    """Requirements of a sweep's runs.

    Attributes:
        length: longest sequence, in tokens that are trained on.
        vocabulary: smallest vocabulary of a model.
        validation: samples of the validation split.

    """

    length: int
    vocabulary: int
    validation: int


def is_data_set(folder: Path) -> bool:
    """Return True if a folder has the file that describes a data set with splits."""
    return (folder / _DESCRIPTION).is_file()


def similar(folder: Path) -> str:
    """Return ` (did you mean FOLDER?)` for a path that does not exist, if a data set differs in one similar name."""
    if folder.exists():
        return ""
    there = next(parent for parent in folder.parents if parent.is_dir())
    missing, *below = folder.relative_to(there).parts
    try:
        name = closest(missing, [path.name for path in there.iterdir() if is_data_set(path.joinpath(*below))])
    except OSError:
        return ""
    return f" (did you mean {there.joinpath(name, *below)}?)" if name else ""


def check_description(folder: Path) -> None:
    """Check the splits and columns of a data set by its JSON files; a folder that does not exist passes.

    Raises:
        InputError: the data set cannot be trained on; says why, and what would be right.

    """
    if "::" in str(folder):
        raise InputError(f"data.path: {folder}: '::' separates chained URLs in the datasets library: rename the folder")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"data.path: {folder} is a file, not the folder of a data set: if it is text, {_FROM_TEXT}")
    if (folder / "state.json").is_file():
        raise InputError(
            f"data.path: {folder} is a single split: save a DatasetDict with the splits {' and '.join(SPLITS)}"
        )
    if not is_data_set(folder):
        raise InputError(f"data.path: {folder} {_what_else(folder)}")
    there = _json(folder / _DESCRIPTION).get("splits")
    if not isinstance(there, list):
        raise InputError(f"data.path: {folder / _DESCRIPTION}: should list the splits: create the data again")
    for split in SPLITS:
        if split not in there:
            found = ", ".join(map(str, there)) or "none"
            raise InputError(f"data.path: {folder} has no split {split!r} (it has: {found}): rename or create it")
        _check_columns(folder / split / "dataset_info.json")


def _what_else(folder: Path) -> str:
    """Say what a folder is that is no data set."""
    files = [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]
    if any(file.suffix in _TEXT for file in files):
        return f"holds text, not a data set: {_FROM_TEXT}"
    return (
        f"is not a data set: it has no {_DESCRIPTION}, which `xffl-bench data` and save_to_disk of Hugging Face "
        f"datasets write; if it holds text, {_FROM_TEXT}"
    )


def _check_columns(file: Path) -> None:
    features = _json(file).get("features")
    if not isinstance(features, dict):
        raise InputError(f"data.path: {file}: should describe the columns: create the data again")
    column = features.get(COLUMN)
    if column is None:
        raise InputError(f"data.path: {file}: has no column {COLUMN!r} (it has: {', '.join(features)}): {PREPARE}")
    inner = column.get("feature") if isinstance(column, dict) else column
    kind = column.get("_type") if isinstance(column, dict) else "Sequence"  # a list in the files of datasets 2
    inner = inner[0] if isinstance(inner, list) and inner else inner
    dtype = inner.get("dtype") if isinstance(inner, dict) else None
    if kind not in _LISTS or not isinstance(dtype, str) or not dtype.startswith(("int", "uint")):
        raise InputError(f"data.path: {file}: {COLUMN}: should be lists of integers: {PREPARE}")


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"data.path: {file} is missing: copy the data set again, or create it again") from error
    except OSError as error:
        raise InputError(f"data.path: {file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"data.path: {file}: should be JSON: create the data again") from error
    if not isinstance(content, dict):
        raise InputError(f"data.path: {file}: should be a mapping: create the data again")
    return content


def check_rows(folder: Path, needs: DataNeeds) -> None:
    """Check the rows of a data set that `check_description` accepts.

    Raises:
        InputError: files are missing or incomplete, there are too few samples, or samples are too short, of different
            lengths, or with tokens outside of the vocabulary.

    """
    for split in SPLITS:
        rows = 0
        for file, batches in _files(folder / split):
            rows += sum(batch.num_rows for batch in batches)
            for batch in (*batches[:1], *batches[1:][-1:]):
                _check_batch(batch, file, needs)
        check_count(folder, split, rows, needs)


def check_count(folder: Path, split: str, rows: int, needs: DataNeeds) -> None:
    """Check the number of samples of a split.

    Raises:
        InputError: there are too few.

    """
    if rows < (wanted := needs.validation if split == "val" else 1):
        raise InputError(
            f"data.path: the split {split!r} of {folder} has {rows} samples, but {wanted} are needed"
            + (": lower training.val_samples" if split == "val" and rows else f": {PREPARE}")
        )


def count_rows(split: Path) -> int:
    """Return the number of samples of a split.

    Raises:
        InputError: its files are missing or incomplete.

    """
    return sum(batch.num_rows for _, batches in _files(split) for batch in batches)


def _files(split: Path) -> Iterator[tuple[Path, list[pa.RecordBatch]]]:
    """Yield the files of a split with their record batches, whose columns stay on disk until they are read."""
    import pyarrow as pa  # noqa: PLC0415 - a plan without `epochs` does without it

    listed = _json(split / "state.json").get("_data_files")
    if not isinstance(listed, list):
        raise InputError(f"data.path: {split / 'state.json'}: should list the data files: create the data again")
    for each in listed:
        name = each.get("filename") if isinstance(each, dict) else None
        file = split / str(name)
        try:
            with pa.memory_map(str(file)) as stored:
                batches = list(pa.ipc.open_stream(stored))
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"data.path: {file}: {_why_unreadable(file, error)}") from error
        yield file, batches


def _why_unreadable(file: Path, error: Exception) -> str:
    if not file.is_file():
        return "is missing: copy the data set again"
    if lfs.is_pointer(file):
        return lfs.FETCH
    return f"is not a complete Arrow file ({str(error).splitlines()[0]}): copy the data set again"


def _check_batch(batch: pa.RecordBatch, file: Path, needs: DataNeeds) -> None:
    import pyarrow.compute as pc  # noqa: PLC0415

    if not batch.num_rows:
        return
    column = batch.column(COLUMN)
    lengths = pc.list_value_length(column)
    shortest, longest = pc.min_max(lengths).as_py().values()
    if shortest is None or column.null_count:
        raise InputError(f"data.path: {file}: {COLUMN} has rows without tokens: {PREPARE}")
    if shortest < needs.length:
        raise InputError(
            f"data.path: {file}: a sample has {shortest} tokens, but training.sequence_length is {needs.length}: "
            f"pack the samples ({PREPARE}), or lower it"
        )
    if shortest == needs.length < longest:
        raise InputError(
            f"data.path: {file}: samples have different lengths ({shortest} to {longest} tokens), of which some lack "
            f"the token after the last of training.sequence_length {needs.length}: pack the samples ({PREPARE})"
        )
    first = column.slice(0, 16).flatten()
    lowest, highest = pc.min_max(first).as_py().values()
    if lowest is None or lowest < 0 or highest >= needs.vocabulary:
        token = lowest if lowest is None or lowest < 0 else highest
        raise InputError(
            f"data.path: {file}: contains the token {token}, outside of the model's vocab_size {needs.vocabulary}: use "
            "the model's own tokenizer, or a model with a larger vocabulary"
        )
