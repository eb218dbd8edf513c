from __future__ import annotations

from bench.contract.files import write_document
from bench.contract.outcomes import Caution
from bench.contract.result import Result
from bench.contract.run import Run
from reports.data.frame import load
from reports.tables.tables import tables
from tests.support.documents import SweepDocuments


def found(sweep: SweepDocuments) -> dict[Caution, str]:
    (table,) = tables(load(sweep.write()))
    return {notice.caution: notice.detail for notice in table.notices}


def test_the_runs_own_cautions_name_where_they_apply_and_what_to_do(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 3, cautions=[Caution.CPU_MEMORY])
    sweep.run("fsdp", 2, speeds=[1000.0] * 3, cautions=[Caution.CPU_MEMORY, Caution.OVERSUBSCRIBED])
    cautions = found(sweep)
    assert (cautions[Caution.OVERSUBSCRIBED], cautions[Caution.CPU_MEMORY]) == ("on 2 nodes", "")
    (table,) = tables(load(sweep.path))
    assert Caution.OVERSUBSCRIBED.remedy in table.notices[0].text


def test_few_repeats(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 2)
    assert Caution.FEW_REPEATS in found(sweep)


def test_strategies_that_differ_in_precision_are_not_comparable(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 3)
    sweep.run("federated", 1, speeds=[1000.0] * 3, training={"precision": "bf16"})
    assert found(sweep) == {Caution.NOT_COMPARABLE: "training.precision: bf16, fp32"}


def test_strategies_that_start_from_other_weights_are_not_comparable(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 3)
    for run_id in sweep.run("federated", 1, speeds=[1000.0] * 3):
        file = sweep.folder(run_id).run
        write_document(file, Run.model_validate_json(file.read_text()).model_copy(update={"weights": "elsewhere"}))
    assert found(sweep) == {Caution.NOT_COMPARABLE: "weights: None, elsewhere"}


def test_ranks_on_their_own_cores_are_not_comparable_with_others(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 3)
    for run_id in sweep.run("federated", 1, speeds=[1000.0] * 3):
        file = sweep.folder(run_id).run
        run = Run.model_validate_json(file.read_text())
        system = run.system.model_copy(update={"affinity": "cores"})
        write_document(file, run.model_copy(update={"system": system}))
    assert found(sweep) == {Caution.NOT_COMPARABLE: "system.affinity: cores, none"}


def test_node_counts_that_differ_in_software_are_not_comparable_and_the_package_is_named(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 3, packages={"torch": "2.8.0", "numpy": "2.0"})
    sweep.run("fsdp", 2, speeds=[1000.0] * 3, packages={"torch": "2.9.0", "numpy": "2.0"})
    assert found(sweep)[Caution.NOT_COMPARABLE] == "provenance.packages.torch: 2.8.0, 2.9.0"


def test_strategies_that_ran_in_other_images_are_not_comparable(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0] * 3)
    for run_id in sweep.run("federated", 1, speeds=[1000.0] * 3):
        file = sweep.folder(run_id).result
        result = Result.model_validate_json(file.read_text()).model_dump()
        result["measured"]["provenance"]["image"] = "ab12"
        write_document(file, Result.model_validate(result))
    assert found(sweep) == {Caution.NOT_COMPARABLE: "provenance.image: None, ab12"}
    frame = load(sweep.path).frame
    assert set(frame.loc[frame["axis.strategy"] == "federated", "image"]) == {"ab12"}


def test_a_damaged_result_is_a_caution_of_its_table(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 1, speeds=[1000.0] * 3)
    sweep.folder(ids[2]).result.write_text("{")
    assert found(sweep)[Caution.DAMAGED_RESULT] == ids[2]
