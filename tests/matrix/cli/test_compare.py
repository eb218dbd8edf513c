"""The command `compare`, and `--only-suspects` with what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.cli.app import app
from matrix.cli.reporting.compare import tolerances_of
from matrix.errors import InputError
from matrix.planning.prepare import prepare
from reports.nights.document import CompareDocument
from tests.support.documents import SweepDocuments
from tests.support.nights import Nights


def called(*words: object, expect: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        app([*map(str, words)], prog_name="xffl-bench")
    assert (ended.value.code or 0) == expect


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def test_the_exit_status_says_whether_something_regressed(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    old, equal, slow = nights.write(), nights.write(), nights.write(slower={"hsdp": 1.08})
    called("compare", old, equal)
    called("compare", old, slow, expect=1)
    assert "  regressed: hsdp, nodes 2: tokens/s x 0.9" in capsys.readouterr().out
    called("compare", old, slow, "--tolerance", "tokens_per_s=20")
    called("compare", slow, old)
    called("compare", slow, old, "--fail-on-improvement", expect=1)


def test_golden_values_are_written_and_compared_with(
    nights: Nights, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, slow, golden = nights.write(), nights.write(slower={"hsdp": 1.08}), tmp_path / "golden.yaml"
    called("compare", old, "--accept", golden)
    assert capsys.readouterr().out == f"{golden}: golden values of 4 combinations\n"
    called("compare", old, "--against", golden)
    called("compare", slow, "--against", golden, expect=1)


def test_bad_input_is_refused(nights: Nights, tmp_path: Path) -> None:
    night, golden = nights.write(), tmp_path / "golden.yaml"
    golden.write_text("[")
    other = SweepDocuments(tmp_path / "other", nodes=(1,))
    other.run("fsdp", 1, speeds=[100.0], batch=64)
    unlike = SweepDocuments(tmp_path / "unlike", nodes=(1,))
    unlike.run("fsdp", 1, speeds=[100.0], training={"precision": "bf16"})
    for words, said in (
        ([night], "needs OLD and NEW"),
        ([night, night, "--against", golden], "needs OLD and NEW"),
        ([night, other.write()], "no combination in common"),
        ([night, unlike.write()], "nothing can be compared: training.precision: fp32 -> bf16"),
        ([night, "--accept", golden, "--json"], "--json: --accept compares nothing"),
        ([night, tmp_path], "not the folder of a sweep"),
        ([night, "--against", golden], "golden.yaml: not YAML"),
        ([night, "--against", golden, "--tolerance", "3"], "golden values have their own"),
        ([night, night, "--tolerance", "speed=3"], "not a metric"),
        ([night, night, "--tolerance", "-3"], "should be a percentage"),
    ):
        with pytest.raises(InputError, match=said):
            app(["compare", *map(str, words)], prog_name="xffl-bench", standalone_mode=False)


def test_a_tolerance_of_one_metric_wins_over_that_of_all() -> None:
    found = tolerances_of(["tokens_per_s=5", "1"])
    assert (found["tokens_per_s"], found["loss_validation"]) == (0.05, 0.01)


def test_only_suspects_run_again(
    nights: Nights, tmp_path: Path, small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, slow = nights.write(), nights.write(slower={"hsdp": 1.08})
    called("compare", old, slow, "--json", expect=1)
    file = tmp_path / "compared.json"
    file.write_text(capsys.readouterr().out)
    assert CompareDocument.model_validate_json(file.read_text()).suspects == [
        {"model": "llama-tiny", "strategy": "hsdp", "nodes": 2, "cuda_streams": 1, "batch_size": 4}
    ]
    matrix = tmp_path / "sweep.yaml"
    matrix.write_text(small.replace("[fsdp]", "[fsdp, hsdp]") + "strategies: {hsdp: {shard: node}}\nrepeats: 2\n")

    def chosen(*assignments: str) -> set[str]:
        return set(prepare(matrix, None, [], [], assignments, only_suspects=file).selected)

    (first, second) = sorted(chosen())
    assert first.startswith("llama-tiny.hsdp.n2.b4.r0-")
    assert chosen("repeats=3") > {first, second}, "further repeats of the same combination"
    with pytest.raises(InputError, match="is one of the suspects"):
        prepare(matrix, None, ["strategy=fsdp"], [], only_suspects=file)
    called("compare", old, old, "--json")
    file.write_text(capsys.readouterr().out)
    with pytest.raises(InputError, match="has no suspects"):
        chosen()
    file.write_text("{}")
    with pytest.raises(InputError, match="should be the output of `xffl-bench compare"):
        chosen()
