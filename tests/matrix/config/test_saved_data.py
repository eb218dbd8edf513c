"""Data sets that cannot be trained on are refused before anything starts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from matrix.config.saved_data import DataNeeds, check_description, check_rows, count_rows
from matrix.errors import InputError

NEEDS = DataNeeds(length=8, vocabulary=256, validation=4)
ROWS = [[5] * 9] * 40


def save(folder: Path, train: list[Any] = ROWS, val: list[Any] = ROWS, column: str = "input_ids") -> Path:
    splits = {"train": train, "val": val}
    made = {name: datasets.Dataset.from_dict({column: rows}) for name, rows in splits.items()}
    datasets.DatasetDict(made).save_to_disk(str(folder))
    return folder


def check(folder: Path, needs: DataNeeds = NEEDS) -> None:
    check_description(folder)
    check_rows(folder, needs)


@pytest.mark.parametrize(
    "change",
    [
        lambda saved: saved.with_format("torch"),
        lambda saved: saved.cast_column("input_ids", datasets.List(datasets.Value("uint16"))),
        lambda saved: saved.cast_column("input_ids", datasets.LargeList(datasets.Value("int64"))),
        lambda saved: saved.cast_column("input_ids", datasets.List(datasets.Value("int32"), length=9)),
    ],
)
def test_valid_ones_pass(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    saved = datasets.load_from_disk(str(save(tmp_path / "plain")))
    change(saved).save_to_disk(str(tmp_path / "changed"))
    check(tmp_path / "changed")
    assert count_rows(tmp_path / "changed" / "train") == 40


def test_a_folder_that_is_not_there_yet_is_left_to_others(tmp_path: Path) -> None:
    check_description(tmp_path / "later")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"train": [[5] * 9] * 10 + [[5] * 7]}, "a sample has 7 tokens, but training.sequence_length is 8: pack"),
        ({"train": [[5] * 9] * 10 + [[5] * 8]}, "samples have different lengths .8 to 9 tokens."),
        ({"train": [[5] * 8 + [256]] * 10}, "contains the token 256, outside of the model's vocab_size 256"),
        ({"train": [[-100] * 9] * 10}, "contains the token -100, outside of"),
        ({"train": [[5] * 9] * 4000 + [[300] * 9]}, "contains the token 300"),  # in the last batch
        ({"val": [[5] * 9] * 3}, "the split 'val' of .* has 3 samples, but 4 are needed: lower training.val_samples"),
        ({"column": "tokens"}, r"has no column 'input_ids' .it has: tokens.: prepare it"),
        ({"train": ["a text"], "val": ["a text"]}, "input_ids: should be lists of integers"),
        ({"train": [[0.5] * 9], "val": [[0.5] * 9]}, "input_ids: should be lists of integers"),
    ],
)
def test_what_ranks_would_have_found(tmp_path: Path, content: dict[str, Any], fault: str) -> None:
    folder = save(tmp_path / "set", **content)
    with pytest.raises(InputError, match=fault) as refused:
        check(folder)
    assert str(refused.value).startswith("data.path: ")
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda folder: shutil.rmtree(folder / "val"), "val/dataset_info.json is missing"),
        (lambda folder: (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}'),
         r"has no split 'val' .it has: train, validation.: rename or create it"),
        (lambda folder: (folder / "dataset_dict.json").write_text("{"), "dataset_dict.json: should be JSON"),
        (lambda folder: (folder / "dataset_dict.json").write_text("[" * 5000), "dataset_dict.json: should be JSON"),
        (lambda folder: (folder / "train" / "state.json").write_text('{"_data_files": 3}'), "should list the data fil"),
        (lambda folder: (folder / "train" / "state.json").write_text('{"_data_files": [3]}'), "None: is missing"),
        (lambda folder: arrow(folder).unlink(), "arrow: is missing: copy the data set again"),
        (lambda folder: arrow(folder).write_text("version https://git-lfs.github.com/spec/v1\nsize 5\n"),
         "is a Git LFS pointer: fetch the file itself with `git lfs pull`"),
        (lambda folder: arrow(folder).write_bytes(arrow(folder).read_bytes()[:700]), "is not a complete Arrow file"),
        (lambda folder: shutil.copytree(folder / "train", folder, dirs_exist_ok=True), "is a single split: save a Da"),
    ],
)  # fmt: skip
def test_damage(tmp_path: Path, damage: Callable[[Path], object], fault: str) -> None:
    folder = save(tmp_path / "set")
    damage(folder)
    with pytest.raises(InputError, match=fault):
        check(folder)


def arrow(folder: Path) -> Path:
    return next((folder / "train").glob("*.arrow"))


def test_a_path_that_would_be_a_url(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape("'::' separates chained URLs")):
        check_description(save(tmp_path / "set").rename(tmp_path / "a::b"))
