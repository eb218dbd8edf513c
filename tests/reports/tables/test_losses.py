"""Losses: paired by seed whatever the session, and read at equal trained tokens."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from scipy import stats

from bench.contract.results.outcomes import Caution
from reports.render import markdown
from reports.render.write import write_report
from reports.tables.long_form import long_form
from tests.reports.tables.texts import texts, the_table
from tests.support.documents import SweepDocuments, a_measurement

OURS = [4.8540 + seed for seed in (0.036, -0.029, -0.007)]
THEIRS = [4.8206 + seed for seed in (0.035, -0.031, -0.004)]
"""Losses that move together with the seed."""


def with_losses(
    sweep: SweepDocuments, strategy: str, losses: Sequence[float], session: str, *, nodes: int = 1, more: float = 1
) -> None:
    """Add a cell whose repeats have these validation losses, after `more` times the usual trained tokens."""
    for identity, loss in zip(sweep.run(strategy, nodes), losses, strict=False):
        measured = a_measurement(1000.0, nodes, validation=loss)
        trained = int(measured.trained_tokens * more)
        sweep.end(identity, measured=measured.model_copy(update={"trained_tokens": trained}), session=session)


def test_a_difference_of_losses_is_paired_by_seed_although_the_sessions_differ(sweep: SweepDocuments) -> None:
    with_losses(sweep, "fsdp", THEIRS, "job 1, runner 1")
    with_losses(sweep, "federated", OURS, "job 2, runner 1")
    table = the_table(sweep)
    expected = stats.ttest_rel(OURS, THEIRS)
    low, high = expected.confidence_interval(0.95)
    assert texts(table, "loss_validation")["federated"][0].startswith("4.8540 ± 0.08"), "the seeds' spread hides it"
    assert texts(table, "loss_difference") == {"fsdp": ["0.0000"], "federated": [f"+0.0334 [{low:+.4f}, {high:+.4f}]"]}
    assert low > 0
    (row,) = long_form([table]).query("metric == 'loss_difference' and strategy == 'federated'").to_dict("records")
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.0334, low, high), abs=1e-6)
    assert (row["rule"], row["count"], row["interval"]) == ("seeds", 3, True)


def test_two_seeds_give_the_range_of_their_differences(sweep: SweepDocuments) -> None:
    with_losses(sweep, "fsdp", [2.5, 2.75, 2.6], "runner 1")
    with_losses(sweep, "federated", [2.75, 2.75], "runner 1")
    assert texts(the_table(sweep), "loss_difference")["federated"][0].startswith("+0.1250 (0.0000 .. +0.2500)")


def test_verdicts_are_about_speed_only(sweep: SweepDocuments) -> None:
    with_losses(sweep, "fsdp", THEIRS, "runner 1")
    sweep.run("federated", 1, speeds=[1000.0, 1100.0, 1050.0])
    assert "adjusted for 0 comparisons (" in the_table(sweep).findings[0]
    assert texts(the_table(sweep), "loss_difference")["federated"][0].startswith("-2.2206 ["), (
        "an interval all the same"
    )


def test_losses_at_equal_tokens_carry_no_mark(sweep: SweepDocuments) -> None:
    with_losses(sweep, "fsdp", THEIRS, "runner 1")
    with_losses(sweep, "federated", OURS, "runner 1")
    table = the_table(sweep)
    assert Caution.UNEQUAL_TOKENS not in [notice.caution for notice in table.notices]
    assert texts(table, "trained_tokens") == {"fsdp": ["49,152"], "federated": ["49,152"]}
    assert "tokens" not in texts(table, "loss_validation")["fsdp"][0]


def test_losses_of_a_column_after_other_tokens_say_so(sweep: SweepDocuments) -> None:
    with_losses(sweep, "fsdp", [2.6] * 3, "runner 1")
    with_losses(sweep, "federated", [2.5] * 3, "runner 1", more=2)
    table = the_table(sweep)
    assert texts(table, "loss_validation") == {
        "fsdp": ["2.6000 (at 49,152 tokens)"],
        "federated": ["2.5000 (at 98,304 tokens)"],
    }
    assert texts(table, "loss_final")["federated"] == ["2.5000 (at 98,304 tokens)"]
    assert [n.detail for n in table.notices if n.caution is Caution.UNEQUAL_TOKENS] == ["on 1 node"]


def test_losses_of_a_row_after_other_tokens_say_so_in_the_report(sweep: SweepDocuments) -> None:
    with_losses(sweep, "fsdp", [2.6] * 3, "runner 1")
    with_losses(sweep, "fsdp", [2.5] * 3, "runner 1", nodes=2)
    with_losses(sweep, "hsdp", [2.5] * 3, "runner 1", nodes=2, more=0.5)
    with_losses(sweep, "hsdp", [2.5] * 3, "runner 1")
    text = write_report(sweep.write(), sweep.path / "report", [markdown]).report.read_text()
    assert "unequal-tokens (fsdp over node counts; on 2 nodes)" in text
    assert "| | hsdp | 2.5000 | 2.5000 (at 49,152 tokens) |" in text.replace("|  |", "| |")


def test_a_difference_that_is_shown_as_zero_has_no_sign(sweep: SweepDocuments) -> None:
    """hsdp differs from fsdp by the order of sums only."""
    with_losses(sweep, "fsdp", [4.1, 4.2, 4.3], "a")
    with_losses(sweep, "hsdp", [4.1 - 3e-7, 4.2 - 2e-7, 4.3 - 4e-7], "a")
    assert texts(the_table(sweep), "loss_difference")["hsdp"] == ["0.0000 [0.0000, 0.0000]"]
