"""Tables of a sweep in which each combination trains with the largest batch that fits."""

from __future__ import annotations

import pytest

from bench.contract.results.outcomes import Caution
from bench.contract.run import Search
from tests.reports.tables.test_comparability import details, edit_measured, edit_runs
from tests.reports.tables.texts import texts, the_table
from tests.support.documents import SweepDocuments


@pytest.fixture
def largest(sweep: SweepDocuments) -> SweepDocuments:
    """Of two strategies, hsdp fits 9 sequences and fsdp 18, from which the tokens per step follow."""
    sweep.regime = "max-batch"
    for strategy, size in (("fsdp", 18), ("hsdp", 9)):
        for nodes in (1, 2):
            ids = sweep.run(strategy, nodes, speeds=[1000.0 * nodes, 1010.0 * nodes, 990.0 * nodes])
            edit_runs(sweep, ids, regime="max-batch", search=Search(start=4, limit=64), batch_size=size)
            edit_measured(sweep, ids, tokens_per_step=size * 512 * nodes)
    return sweep


def test_the_batch_size_found_is_a_row_and_no_difference(largest: SweepDocuments) -> None:
    table = the_table(largest)
    assert texts(table, "largest_batch_size") == {"fsdp": ["18", "18"], "hsdp": ["9", "9"]}
    assert table.caption.count("largest micro-batch that fits in memory, up to 64 sequences per rank;") == 1
    assert table.grid.title == "llama-tiny, batch size from 4"
    assert details(table) == []
    assert texts(table, "ratio")["hsdp"][0].startswith("1.000")
    assert any("faster" in sentence or "no difference" in sentence for sentence in table.findings)


def test_losses_after_other_tokens_are_not_compared(largest: SweepDocuments) -> None:
    """A step of twice the tokens is another optimization."""
    (cell, _) = texts(the_table(largest), "loss_difference")["hsdp"]
    assert "not comparable: tokens_per_step" in cell


def test_what_else_differs_is_named_all_the_same(largest: SweepDocuments) -> None:
    ids = [run for cell in largest.cells for run in cell.runs if cell.labels["strategy"] == "hsdp"]
    edit_measured(largest, ids, provenance={"commit": "another"})
    assert any("provenance.commit" in detail for detail in details(the_table(largest)))


def test_given_batch_sizes_have_no_such_row(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 1, speeds=[1000.0] * 3)
    table = the_table(sweep)
    assert "largest_batch_size" not in {block.metric.key for block in table.blocks}
    edit_measured(sweep, ids[:1], tokens_per_step=1)
    assert Caution.NOT_COMPARABLE in {notice.caution for notice in the_table(sweep).notices}
