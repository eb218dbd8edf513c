"""Two nights compared: what was planted is found, and what is equal is not called different."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

import pytest

import reports
from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Caution, Outcome
from bench.contract.results.result import Result
from bench.contract.storage.files import write_document
from reports.nights.combinations import Night
from reports.nights.comparing import compare_nights
from reports.nights.conditions import differing
from reports.nights.document import Change, CompareDocument, NightFigure
from reports.nights.summary import summary
from tests.support.documents import SweepDocuments
from tests.support.nights import COMBINATIONS, Nights


def compared(old: Path, new: Path, **tolerances: float) -> CompareDocument:
    return compare_nights(Night.of(old), Night.of(new), tolerances)


def of(found: CompareDocument, metric: str, strategy: str, nodes: int = 2) -> NightFigure:
    (figure,) = (
        each
        for each in found.figures
        if each.metric == metric and (each.labels["strategy"], each.labels["nodes"]) == (strategy, nodes)
    )
    return figure


def test_a_planted_slowdown_is_a_regression_with_its_interval_and_its_likely_cause(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    old = nights.write()
    new = nights.write(slower={"hsdp": 1.08}, packages={"torch": "2.9.0"})
    found = compared(old, new)
    figure = of(found, "tokens_per_s", "hsdp")
    assert figure.verdict is Change.REGRESSED
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < 1 / 1.08 < figure.high < 0.98
    assert (figure.unit, figure.counts) == ("runs", (5, 5))
    assert "one-session" in figure.cautions
    assert [each.labels for each in found.having(Change.REGRESSED)] == found.suspects == [figure.labels]
    assert of(found, "loss_validation", "hsdp").verdict is Change.SAME
    assert of(found, "peak_memory_gib", "fsdp").verdict is Change.SAME
    assert found.changed == ["provenance.packages.torch: 2.8.0 -> 2.9.0"]
    assert found.has_failed()
    back = compared(new, old)
    assert [each.verdict for each in back.figures].count(Change.IMPROVED) == 1
    assert (back.has_failed(), back.has_failed(on_improvement=True)) == (False, True)
    assert summary(found)[0].endswith(f" (of {len(found.figures)} figures)")
    assert summary(found)[1].startswith("  regressed: hsdp, nodes 2: tokens/s x 0.9")
    assert summary(found)[-1].startswith("1 combination to run again (hsdp, nodes 2): save this")


def test_a_difference_within_the_tolerance_is_no_regression(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    old, new = nights.write(), nights.write(slower={"hsdp": 1.08})
    figure = of(compared(old, new, tokens_per_s=0.2), "tokens_per_s", "hsdp")
    assert (figure.verdict, figure.lower, figure.upper) == (Change.SAME, -0.2, 0.2)


def test_a_regression_names_the_cautions_that_may_explain_it(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    cautions = [Caution.BUSY_MACHINE, Caution.CPU_MEMORY]
    found = compared(nights.write(), nights.write(slower={"hsdp": 1.08}, cautions=cautions))
    assert {*cautions, "one-session"} == set(of(found, "tokens_per_s", "hsdp").cautions)
    assert summary(found)[1].endswith("]; busy-machine")


def test_a_worse_loss_is_found_between_runs_of_one_seed_whatever_the_seeds_spread(tmp_path: Path) -> None:
    old, new = (SweepDocuments(tmp_path / name, nodes=(1,), repeats=4) for name in ("old", "new"))
    losses = (2.5, 3.0, 3.5, 4.0)
    for sweep, factor in ((old, 1.0), (new, 1.01)):
        runs = sweep.run("fsdp", 1, speeds=[100.0] * 4)
        for run, loss in zip(runs, losses, strict=True):
            _set_loss(sweep, run, loss * factor)
        sweep.write()
    figure = of(compared(old.path, new.path), "loss_validation", "fsdp", 1)
    assert (figure.verdict, figure.unit, figure.counts) == (Change.REGRESSED, "seeds", (4, 4))
    old.end(runs[0], Outcome.CRASHED, "rank 0")
    new.end(runs[1], Outcome.CRASHED, "rank 0")
    figure = of(compared(old.path, new.path), "loss_validation", "fsdp", 1)
    assert figure.ratio == pytest.approx(1.01), "pairs are of one seed, not of one place in a list"
    assert (figure.verdict, figure.counts) == (Change.CANNOT_TELL, (2, 2))
    assert "no interval: 3 pairs" in figure.reason
    assert figure.old == pytest.approx((3.5 * 4.0) ** 0.5), "of the seeds of which both nights have a run"
    assert figure.new == pytest.approx((3.5 * 4.0) ** 0.5 * 1.01)
    for run in runs[2:]:
        old.end(run, Outcome.CRASHED, "rank 0")
    figure = of(compared(old.path, new.path), "loss_validation", "fsdp", 1)
    assert (figure.old, figure.new, figure.counts) == (None, None, (0, 0))
    assert figure.reason == "no repeat completed in both nights"


def _result(file: Path) -> Result:
    return Result.model_validate_json(file.read_text())


def _measured(sweep: SweepDocuments, run: str) -> Measured:
    measured = _result(sweep.folder(run).result).measured
    assert measured is not None
    return measured


def _set_loss(sweep: SweepDocuments, run: str, loss: float) -> None:
    measured = _measured(sweep, run)
    changed = measured.model_copy(update={"loss": measured.loss.model_copy(update={"validation": loss})})
    sweep.end(run, measured=changed)


def test_what_no_longer_runs_has_regressed_and_what_did_not_run_yet_is_not_told(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    old, new = nights.write(), nights.write()
    written = Night.of(new)
    for combination in written.combinations:
        for run in combination.runs.planned.runs:
            result = new / "runs" / run / "result.json"
            if combination.labels["strategy"] == "hsdp":
                _failed(result, Outcome.OOM, "CUDA out of memory")
            elif combination.labels["strategy"] == "federated":
                result.unlink()
    found = compared(old, new)
    oom, missing = of(found, "completed", "hsdp"), of(found, "completed", "federated")
    assert (oom.verdict, oom.reason) == (Change.REGRESSED, "oom: CUDA out of memory")
    assert missing.verdict is Change.CANNOT_TELL
    assert found.suspects == [oom.labels, missing.labels]
    assert compared(new, old).having(Change.IMPROVED)[0].labels == oom.labels


def test_what_a_filter_left_out_is_neither_missing_nor_suspected(tmp_path: Path) -> None:
    """As of a night that was run with --only or --only-suspects, whose plan has all combinations."""
    nights = Nights(tmp_path)
    old, new = nights.write(), nights.write()
    for run in (new / "runs").glob("*.fsdp.*"):
        rmtree(run)
    found = compared(old, new)
    assert [each["strategy"] for each in found.only_old] == ["fsdp", "fsdp"]
    assert {figure.labels["strategy"] for figure in found.figures} == {"hsdp", "federated"}
    assert found.suspects == []


def _failed(file: Path, outcome: Outcome, reason: str) -> None:
    write_document(file, _result(file).model_copy(update={"outcome": outcome, "reason": reason, "measured": None}))


def test_nights_of_other_settings_are_not_comparable_and_the_setting_is_named(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    old, new = nights.write(), nights.write(slower={"fsdp": 2.0}, training={"precision": "bf16"})
    found = compared(old, new)
    assert {figure.verdict for figure in found.figures} == {Change.NOT_COMPARABLE}
    assert {figure.reason for figure in found.figures} == {"training.precision: fp32 -> bf16"}
    assert (found.has_failed(), found.suspects) == (False, [])
    (line,) = (line for line in summary(found) if line.startswith("  not-comparable"))
    assert line.endswith("training.precision: fp32 -> bf16")


def test_combinations_are_matched_on_the_axes_that_both_nights_have(tmp_path: Path) -> None:
    old = SweepDocuments(tmp_path / "old", nodes=(1,))
    new = SweepDocuments(tmp_path / "new", nodes=(1, 2))
    old.run("fsdp", 1, speeds=[100.0, 101.0, 99.0])
    old.run("hsdp", 1, speeds=[100.0, 101.0, 99.0])
    new.axes["compile"] = [False]
    for strategy, nodes in (("fsdp", 1), ("fsdp", 2)):
        new.run(strategy, nodes, speeds=[100.0, 101.0, 99.0], settings={"compile": False})
    found = compared(old.write(), new.write())
    assert {figure.labels["strategy"] for figure in found.figures} == {"fsdp"}
    assert [each["strategy"] for each in found.only_old] == ["hsdp"]
    assert [each["nodes"] for each in found.only_new] == [2]
    assert of(found, "tokens_per_s", "fsdp", 1).ratio == pytest.approx(1.0)


def _in_sessions(folder: Path, speeds: list[float], sessions: list[int]) -> Path:
    """Write a night of one combination, a repeat an hour, each in its session."""
    sweep = SweepDocuments(folder, nodes=(1,), repeats=len(speeds))
    for repeat, run in enumerate(sweep.run("fsdp", 1, speeds=speeds)):
        started = datetime(2030, 1, 1, repeat, tzinfo=UTC)
        sweep.end(run, measured=_measured(sweep, run), session=f"runner {sessions[repeat]}", started=started)
    return sweep.write()


def test_sessions_are_the_unit_where_both_nights_have_three(tmp_path: Path) -> None:
    speeds = [100.0, 101.0, 110.0, 111.0, 90.0, 91.0]
    sides = [_in_sessions(tmp_path / name, speeds, [0, 0, 1, 1, 2, 2]) for name in ("old", "new")]
    figure = of(compared(*sides), "tokens_per_s", "fsdp", 1)
    assert (figure.unit, figure.counts, "one-session" in figure.cautions) == ("sessions", (3, 3), False)


def test_a_ratio_is_that_of_the_two_values_beside_it(tmp_path: Path) -> None:
    """Sessions of unequal size in one night, and too few of them in the other: both sides are then means of runs."""
    old = _in_sessions(tmp_path / "old", [100.0, 100.0, 100.0, 100.0, 300.0, 50.0], [0, 0, 0, 0, 1, 2])
    new = _in_sessions(tmp_path / "new", [100.0, 101.0, 99.0, 150.0], [0, 0, 0, 1])
    of_runs, of_sessions = (of(compared(old, other), "tokens_per_s", "fsdp", 1) for other in (new, old))
    assert (of_runs.unit, of_runs.counts, of_sessions.unit, of_sessions.counts) == ("runs", (6, 4), "sessions", (3, 3))
    for figure in (of_runs, of_sessions):
        assert None is not figure.old is not figure.new is not None
        assert figure.ratio == pytest.approx(figure.new / figure.old)
    unlike = of(compared(old, _unlike(tmp_path)), "tokens_per_s", "fsdp", 1)
    assert (unlike.ratio, unlike.unit, unlike.counts) == (None, "runs", (6, 2))
    assert unlike.old == of_runs.old


def _unlike(folder: Path) -> Path:
    """Write a night of other settings, which has values and no ratio."""
    sweep = SweepDocuments(folder / "unlike", nodes=(1,), repeats=2)
    sweep.run("fsdp", 1, speeds=[100.0, 101.0], training={"precision": "bf16"})
    return sweep.write()


def test_the_comparison_is_a_frame(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    frame = reports.compare(nights.write(), nights.write(slower={"hsdp": 1.08}))
    assert len(frame) == 3 * len(COMBINATIONS)
    assert list(frame.query("verdict == 'regressed'")["axis_strategy"]) == ["hsdp"]


def test_what_is_compared_has_a_ratio_or_an_end(tmp_path: Path) -> None:
    """A gate passes only what it has compared: nothing is, where figures are missing or not comparable."""
    whole = compared(*(Nights(tmp_path).write(name) for name in ("one", "two")))
    assert whole.compares
    without = [figure.model_copy(update={"ratio": None, "verdict": Change.CANNOT_TELL}) for figure in whole.figures]
    unlike = [figure.model_copy(update={"verdict": Change.NOT_COMPARABLE}) for figure in without]
    for figures in ([], without, unlike, [*without, *unlike]):
        assert not whole.model_copy(update={"figures": figures}).compares
    ended = without[0].model_copy(update={"metric": "completed", "verdict": Change.REGRESSED})
    assert whole.model_copy(update={"figures": [*unlike, ended]}).compares


def test_a_variable_that_only_one_night_set_makes_nights_not_comparable() -> None:
    one, two = {"system.environment.A": "1"}, {"system.environment.A": "1", "system.environment.B": "2"}
    assert differing(one, two) == ["system.environment.B: unset -> 2"]
