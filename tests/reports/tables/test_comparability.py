"""Each division is checked between the very cells that it divides; what differs is in the cell's own text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bench.contract.results.outcomes import Caution
from bench.contract.results.result import Result
from bench.contract.run import Run
from bench.contract.storage.files import write_document
from reports.tables.long_form import long_form
from reports.tables.tables import Table
from tests.reports.tables.texts import texts, the_table
from tests.support.documents import SweepDocuments

SPEEDS = [1000.0, 1010.0, 990.0]


def details(table: Table) -> list[str]:
    return [notice.detail for notice in table.notices if notice.caution is Caution.NOT_COMPARABLE]


def edit_runs(sweep: SweepDocuments, ids: Iterable[str], **changes: Any) -> None:
    """Change the run documents."""
    for identity in ids:
        file = sweep.folder(identity).run
        write_document(file, Run.model_validate_json(file.read_text()).model_copy(update=changes))


def edit_measured(sweep: SweepDocuments, ids: Iterable[str], **changes: Any) -> None:
    """Change what results say was measured: figures, or some fields of a part of them."""
    for identity in ids:
        file = sweep.folder(identity).result
        result = Result.model_validate_json(file.read_text()).model_dump()
        for name, change in changes.items():
            measured = result["measured"]
            measured[name] = measured[name] | change if isinstance(change, dict) else change
        write_document(file, Result.model_validate(result))


def edit_provenance(sweep: SweepDocuments, ids: Iterable[str], **changes: Any) -> None:
    """Change where results say that they were made."""
    edit_measured(sweep, ids, provenance=changes)


def test_what_agrees_carries_no_mark(sweep: SweepDocuments) -> None:
    for strategy in ("fsdp", "hsdp", "federated"):
        for nodes in (1, 2):
            sweep.run(strategy, nodes, speeds=SPEEDS)
    table = the_table(sweep)
    assert details(table) == []
    shown = [cell.text for block in table.blocks for line in block.cells for cell in line]
    assert not any("not comparable" in text for text in shown)
    assert set(long_form([table])["not_comparable"]) == {""}


def test_a_speed_up_is_checked_against_the_reference_cell_off_its_row_and_column(sweep: SweepDocuments) -> None:
    """The reference is fp32 on one node; hsdp ran on two, in bf16, longer, on other devices, by another commit."""
    sweep.run("fsdp", 1, speeds=SPEEDS)
    other = sweep.run("hsdp", 2, speeds=SPEEDS, training={"precision": "bf16", "sequence_length": 64})
    edit_provenance(sweep, other, commit="b1d3476", devices=["NVIDIA A100"] * 2)
    table = the_table(sweep)
    for metric in ("speed_up", "efficiency"):
        assert texts(table, metric)["hsdp"][1].endswith(
            "(not comparable: training.sequence_length, training.precision and 2 more)"
        )
    assert "not comparable" not in texts(table, "efficiency_own")["hsdp"][1], "over itself"
    assert details(table) == [
        "hsdp on 2 nodes against fsdp on 1 node: training.sequence_length: 128, 64; training.precision: bf16, fp32; "
        "provenance.commit: 5a4f864, b1d3476; provenance.devices: NVIDIA A100, cpu"
    ]
    frame = long_form([table]).set_index(["metric", "strategy", "nodes"])
    assert frame.loc[("speed_up", "hsdp", 2), "not_comparable"].startswith("training.sequence_length: 128, 64; ")


def test_no_verdict_speaks_of_a_cell_that_is_not_comparable(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=SPEEDS)
    sweep.run("hsdp", 1, speeds=[2000.0, 2020.0, 1981.0], training={"precision": "bf16"})
    sweep.run("federated", 1, speeds=[1500.0, 1510.0, 1481.0])
    table = the_table(sweep)
    assert "adjusted for 1 comparison (" in table.findings[0]
    assert not any("hsdp" in sentence for sentence in table.findings)
    assert texts(table, "ratio")["hsdp"][0].endswith("(not comparable: training.precision)")
    assert details(table) == ["hsdp on 1 node against fsdp on 1 node: training.precision: bf16, fp32"]


@pytest.mark.parametrize(
    ("attribute", "before", "after"),
    [
        ("devices", ["NVIDIA A100"], ["NVIDIA H100"]),
        ("cpu_model", "AMD EPYC 7543", "Intel Xeon 8358"),
        ("cpu_model", None, "Intel Xeon 8358"),
        ("image", "ab12", "cd34"),
        ("image", None, "ab12"),
        ("packages", {"torch": "2.8.0"}, {"torch": "2.9.0"}),
    ],
)
def test_node_counts_on_other_hardware_or_software_are_not_comparable(
    sweep: SweepDocuments, attribute: str, before: object, after: object
) -> None:
    edit_provenance(sweep, sweep.run("fsdp", 1, speeds=SPEEDS), **{attribute: before})
    edit_provenance(sweep, sweep.run("fsdp", 2, speeds=SPEEDS), **{attribute: after})
    table = the_table(sweep)
    for metric in ("speed_up", "efficiency", "efficiency_own"):
        assert f"(not comparable: provenance.{attribute}" in texts(table, metric)["fsdp"][1]
    assert details(table)[0].startswith(f"fsdp on 2 nodes against fsdp on 1 node: provenance.{attribute}")


def test_kinds_of_devices_count_and_not_their_number(sweep: SweepDocuments) -> None:
    edit_provenance(sweep, sweep.run("fsdp", 1, speeds=SPEEDS), devices=["NVIDIA A100"])
    edit_provenance(sweep, sweep.run("fsdp", 2, speeds=SPEEDS), devices=["NVIDIA A100"] * 8)
    assert details(the_table(sweep)) == []


def test_epochs_that_give_other_steps_on_other_nodes_are_not_comparable(sweep: SweepDocuments) -> None:
    edit_measured(
        sweep, sweep.run("fsdp", 1, speeds=SPEEDS, training={"epochs": 1.0, "steps": 48}), window={"steps": 40}
    )
    sweep.run("fsdp", 2, speeds=SPEEDS, training={"epochs": 1.0, "steps": 24})
    table = the_table(sweep)
    assert texts(table, "efficiency")["fsdp"][1].endswith("(not comparable: training.steps)")
    assert details(table) == ["fsdp on 2 nodes against fsdp on 1 node: training.steps: 24, 48"]


def test_a_difference_of_losses_needs_equal_trained_tokens(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=SPEEDS)
    ids = sweep.run("federated", 1, speeds=[1500.0, 1510.0, 1481.0])
    edit_measured(sweep, ids, trained_tokens=98_304, distinct_tokens=98_304)
    table = the_table(sweep)
    assert texts(table, "loss_difference")["federated"][0].endswith("(not comparable: trained_tokens)")
    assert "not comparable" not in texts(table, "ratio")["federated"][0], "a speed does not depend on it"


def test_repeats_of_one_cell_that_differ_are_named_too(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 1, speeds=SPEEDS)
    edit_provenance(sweep, ids[:1], commit="b1d3476")
    assert details(the_table(sweep)) == [
        "fsdp on 1 node against its other repeats: provenance.commit: 5a4f864, b1d3476"
    ]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"weights": "elsewhere"}, "weights: None, elsewhere"),
        ({"engine": "xffl"}, "engine: native, xffl"),
        ({"ranks_per_node": 4, "regime": "global-batch"}, "regime: global-batch, micro-batch"),
    ],
)
def test_strategies_that_ran_otherwise_are_not_comparable(
    sweep: SweepDocuments, changes: dict[str, Any], named: str
) -> None:
    sweep.run("fsdp", 1, speeds=SPEEDS)
    edit_runs(sweep, sweep.run("federated", 1, speeds=SPEEDS), **changes)
    assert details(the_table(sweep)) == [f"federated on 1 node against fsdp on 1 node: {named}"]


def test_ranks_on_their_own_cores_are_not_comparable_with_others(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 1, speeds=SPEEDS) and sweep.run("federated", 1, speeds=SPEEDS)
    system = Run.model_validate_json(sweep.folder(ids[0]).run.read_text()).system
    edit_runs(sweep, ids, system=system.model_copy(update={"affinity": "cores"}))
    assert details(the_table(sweep)) == ["federated on 1 node against fsdp on 1 node: system.affinity: cores, none"]


def test_without_the_reference_a_column_is_read_beside_its_first(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1)
    sweep.run("hsdp", 1, speeds=SPEEDS)
    sweep.run("federated", 1, speeds=SPEEDS, training={"precision": "bf16"})
    assert details(the_table(sweep)) == ["federated on 1 node against hsdp on 1 node: training.precision: bf16, fp32"]


def test_a_setting_without_effect_on_one_of_them_is_no_difference(sweep: SweepDocuments) -> None:
    """fsdp has no groups whose data could be shared; two federated cells must agree on it."""
    sweep.run("fsdp", 2, speeds=SPEEDS)
    sweep.run("federated", 2, speeds=SPEEDS, training={"federated_data": "share"})
    assert details(the_table(sweep)) == []
    sweep.run("federated", 4, speeds=SPEEDS)
    assert details(the_table(sweep)) == [
        "federated on 4 nodes against federated on 2 nodes: training.federated_data: partition, share"
    ]


def test_values_are_written_as_in_the_matrix_file(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=SPEEDS)
    sweep.run("hsdp", 1, speeds=SPEEDS, training={"compile": True})
    assert details(the_table(sweep)) == ["hsdp on 1 node against fsdp on 1 node: training.compile: false, true"]
    same = sweep.cells[0].model_copy(
        update={
            "labels": sweep.labels("federated", 1),
            "status": "same",
            "same_as": {"compile": False, "prefetch": 0},
        }
    )
    sweep.cells.append(same)
    assert "(= compile false, prefetch 0)" in texts(the_table(sweep), "ratio")["federated"][0]
