"""Tables whose rows are values of any axis."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.results.outcomes import Caution
from reports.tables.long_form import long_form
from tests.reports.tables.texts import all_tables, texts
from tests.support.documents import SweepDocuments


@pytest.fixture
def precisions(tmp_path: Path) -> SweepDocuments:
    """Two strategies in two precisions on one node: fp32 is slower by a fifth under fsdp."""
    sweep = SweepDocuments(tmp_path / "sweep", nodes=(1,))
    sweep.axes["precision"] = ["fp32", "bf16"]
    sweep.compare, sweep.reference = ["precision"], {"precision": "fp32", "nodes": 1}
    for strategy, speeds in {"fsdp": (1000.0, 1200.0), "hsdp": (900.0, 900.0)}.items():
        for precision, speed in zip(("fp32", "bf16"), speeds, strict=True):
            measured = [speed, 1.01 * speed, 0.99 * speed]
            sweep.run(strategy, 1, speeds=measured, settings={"precision": precision})
    return sweep


def test_rows_are_the_compared_axis_and_the_others_split_tables(precisions: SweepDocuments) -> None:
    fsdp, hsdp = all_tables(precisions)
    assert (fsdp.grid.title, hsdp.grid.title) == ("llama-tiny, fsdp, batch size 4", "llama-tiny, hsdp, batch size 4")
    assert fsdp.grid.compared == "precision"
    assert [row.label for row in fsdp.grid.rows] == ["precision fp32", "precision bf16"]
    ratio = texts(fsdp, "ratio")
    assert ratio["precision fp32"] == ["1.000"]
    assert ratio["precision bf16"][0].startswith("1.200 [1.200, 1.200]") or ratio["precision bf16"] == ["1.200"]
    assert any("Tokens/s over precision fp32's on the same nodes" in sentence for sentence in fsdp.findings)


def test_what_is_compared_may_differ_and_nothing_else(precisions: SweepDocuments) -> None:
    assert not [notice for notice in all_tables(precisions)[0].notices if notice.caution is Caution.NOT_COMPARABLE]
    precisions.run("federated", 1, speeds=[1000.0] * 3, settings={"precision": "fp32"})
    other = {"precision": "bf16", "sequence_length": 64}
    precisions.axes["sequence_length"] = [128, 64]
    precisions.compare = ["precision", "sequence_length"]
    precisions.reference |= {"sequence_length": 128}
    for cell in precisions.cells:
        cell.labels.setdefault("sequence_length", 128)
    precisions.run("federated", 1, speeds=[1000.0] * 3, settings=other, training={"attention": "eager"})
    *_, federated = all_tables(precisions)
    (notice,) = [notice for notice in federated.notices if notice.caution is Caution.NOT_COMPARABLE]
    assert "training.attention: eager, sdpa" in notice.detail
    assert "precision:" not in notice.detail
    assert "sequence_length:" not in notice.detail


def test_two_axes_are_rows_together_and_columns_of_the_long_form(precisions: SweepDocuments) -> None:
    precisions.compare, precisions.reference = (
        ["strategy", "precision"],
        {
            "strategy": "fsdp",
            "precision": "fp32",
            "nodes": 1,
        },
    )
    made = all_tables(precisions)
    (table,) = made
    labels = ["fsdp, precision fp32", "fsdp, precision bf16", "hsdp, precision fp32", "hsdp, precision bf16"]
    assert [row.label for row in table.grid.rows] == labels
    frame = long_form(made)
    ratios = frame[frame["metric"] == "ratio"].set_index(["strategy", "axis.precision"])["value"]
    assert ratios["hsdp", "bf16"] == pytest.approx(0.9)
    assert ratios["fsdp", "bf16"] == pytest.approx(1.2)


def test_streams_are_rows_of_each_strategy_and_can_be_the_reference(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "sweep", nodes=(1,), streams=(1, 4))
    sweep.compare, sweep.reference = ["cuda_streams"], {"cuda_streams": 4, "nodes": 1}
    for streams, speed in {1: 1000.0, 4: 2000.0}.items():
        sweep.run("federated", 1, speeds=[speed, 1.01 * speed, 0.99 * speed], streams=streams)
    (table,) = all_tables(sweep)
    ratio = texts(table, "ratio")
    assert ratio["federated, 4 streams"] == ["1.000"]
    assert ratio["federated, 1 stream"][0].startswith("0.500")


def test_only_what_two_cells_differ_in_on_purpose_is_excused(precisions: SweepDocuments) -> None:
    """fp32 has no use for the reduce type that bf16 was given; two runs in bf16 must agree on it."""
    precisions.run("federated", 1, speeds=[1000.0] * 3, settings={"precision": "fp32"})
    precisions.run("federated", 2, speeds=[1900.0] * 3, settings={"precision": "fp32"}, training={"clip_norm": 1.0})
    mixed = {"precision": "bf16"}
    precisions.run("federated", 1, speeds=[1100.0] * 3, settings=mixed, training={"reduce_dtype": "fp32"})
    precisions.run("federated", 2, speeds=[2000.0] * 3, settings=mixed, training={"clip_norm": 1.0})
    *_, federated = all_tables(precisions)
    details = [notice.detail for notice in federated.notices if notice.caution is Caution.NOT_COMPARABLE]
    on_one = [detail for detail in details if "precision bf16 on 1 node against precision fp32 on 1 node" in detail]
    assert not on_one
    assert any(
        "training.reduce_dtype" in detail and "bf16 on 2 nodes against precision bf16 on 1 node" in detail
        for detail in details
    )


def test_a_table_over_batch_sizes_says_so(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "sweep", nodes=(1,))
    sweep.axes["batch_size"] = [4, 8]
    sweep.compare, sweep.reference = ["batch_size"], {"batch_size": 4, "nodes": 1}
    for batch, speed in {4: 1000.0, 8: 1500.0}.items():
        sweep.run("fsdp", 1, speeds=[speed, 1.01 * speed, 0.99 * speed], batch=batch)
    (table,) = all_tables(sweep)
    assert "batch size by row" in table.caption
    assert texts(table, "ratio")["batch_size 8"][0].startswith("1.500")


def test_the_reference_is_found_where_its_streams_make_no_difference(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "sweep", nodes=(2,), streams=(1, 4))
    sweep.compare = ["strategy", "cuda_streams"]
    sweep.reference = {"strategy": "fsdp", "cuda_streams": 4, "nodes": 2}
    sweep.run("fsdp", 2, speeds=[1000.0, 1010.0, 990.0])
    sweep.same("fsdp", 2, "fsdp", streams=4, other_streams=1)
    for streams, speed in {1: 1000.0, 4: 2000.0}.items():
        sweep.run("federated", 2, speeds=[speed, 1.01 * speed, 0.99 * speed], streams=streams)
    (table,) = all_tables(sweep)
    assert table.reference.label == "fsdp"
    assert texts(table, "ratio")["federated, 4 streams"][0].startswith("2.000")
    sweep.reference = {"strategy": "federated", "cuda_streams": 4, "nodes": 2}
    (table,) = all_tables(sweep)
    assert table.reference.label == "federated, 4 streams"
