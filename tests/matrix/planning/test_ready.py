"""What runs need beside their plan: `plan` says what `run` would refuse."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from matrix.cli.app import app
from matrix.cli.init import pair
from matrix.errors import InputError
from matrix.planning.ready import check_ready
from tests.support.planning import PlanText, describe_data

TINY = (
    "model: {name: narrow, llama: {vocab_size: 100, hidden_size: 64, intermediate_size: 96, layers: 1, heads: 2, "
    "kv_heads: 2}}"
)


def proposed(refused: InputError) -> list[str]:
    """The words of the command that a refusal proposes for missing data, after `xffl-bench`."""
    found = re.search(r"create it with `xffl-bench (.*?)`", str(refused))
    assert found, refused
    return shlex.split(found[1])


def ends_well(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app(words, prog_name="xffl-bench")
    assert not ended.value.code


@pytest.mark.parametrize(
    ("changed", "options"),
    [
        ("training: {sequence_length: 64}\n", ""),
        ("", "--sequence-length 128"),
        ("training: {sequence_length: 16, val_samples: 300}\n", "--val-samples 300"),
        (
            "training: {sequence_length: 2048, steps: 16, val_samples: 4}\n",
            "--sequence-length 2048 --train-samples 512",
        ),
        (TINY, "--vocab-size 100 --sequence-length 128"),
    ],
)
def test_the_command_for_missing_data_makes_what_can_be_trained_on(
    plan: PlanText, small: str, changed: str, options: str
) -> None:
    text = small.replace("model: llama-tiny", changed) if changed == TINY else small + changed
    with pytest.raises(InputError, match=r"or from text of your own with `xffl-bench data prepare`$") as refused:
        check_ready(plan(text))
    words = proposed(refused.value)
    assert words[3:] == options.split()
    ends_well(words)
    check_ready(plan(text))


def test_the_command_for_one_gpu_is_that_of_its_comment(plan: PlanText) -> None:
    text = pair("one-gpu")[0].replace("system: one-gpu-system.yaml\n", "").replace("../../data", "data")
    with pytest.raises(InputError) as refused:
        check_ready(plan(text, nodes=1, ranks_per_node=1))
    (comment,) = re.findall(r"# The data: xffl-bench data synthetic \S+ (.*)", text)
    assert proposed(refused.value)[3:] == comment.split()


def test_a_typing_error_in_a_path_is_told(plan: PlanText, small: str, tmp_path: Path) -> None:
    describe_data(tmp_path / "sets" / "mine")
    for wrong in ("sets/mien", "set/mine"):
        with pytest.raises(InputError, match=re.escape(f"(did you mean {tmp_path}/sets/mine?): create it with")):
            check_ready(plan(small.replace("path: data", f"path: {wrong}")))
    with pytest.raises(
        InputError, match=r"has none \(did you mean .*/sets/mine\?\): make it first with `xffl-bench data s"
    ):
        plan(small.replace("path: data", "path: sets/mien") + "training: {epochs: 1}\n")
    (tmp_path / "sets" / "mine" / "dataset_dict.json").unlink()
    with pytest.raises(InputError, match=r"sets/mien does not exist: create"):
        check_ready(plan(small.replace("path: data", "path: sets/mien")))


def test_text_is_not_a_data_set(plan: PlanText, small: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_text("a text")
    with pytest.raises(
        InputError, match=r"data is a file, not the folder of a data set: if it is text, make a data set "
    ):
        check_ready(plan(small))
    data.unlink()
    data.mkdir()
    with pytest.raises(
        InputError, match=r"data is not a data set: it has no dataset_dict.json, which `xffl-bench data` "
    ):
        check_ready(plan(small))
    (data / "a.txt").write_text("a text")
    with pytest.raises(
        InputError, match=r"data holds text, not a data set: make a data set of it with `xffl-bench data p"
    ):
        check_ready(plan(small))


@pytest.mark.parametrize(("split", "is_ours"), [("val", True), ("val", False), ("train", False)])
def test_plan_says_that_a_split_is_too_small(
    tmp_path: Path, small: str, split: str, is_ours: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    ends_well(["data", "synthetic", str(data), "--train-samples", "64", "--val-samples", "8"])
    if not is_ours:
        (data / "source.json").unlink()
    if split == "train":
        state = data / "train" / "state.json"
        state.write_text(json.dumps(json.loads(state.read_text()) | {"_data_files": []}))
    matrix = tmp_path / "sweep.yaml"
    matrix.write_text(small + f"training: {{sequence_length: 64, val_samples: {8 if split == 'train' else 9}}}\n")
    capsys.readouterr()
    fault = f"data.path: the split '{split}' of {data} has {0 if split == 'train' else 8} samples, but "
    ends_well(["plan", str(matrix)])
    assert f"before it can run: {fault}" in capsys.readouterr().out
    ends_well(["plan", str(matrix), "--json"])
    (missing,) = json.loads(capsys.readouterr().out)["before_it_can_run"]
    assert missing.startswith(fault)
