"""Energy and utilisation of the hardware in the tables: said where it was counted, and said where it was not."""

from __future__ import annotations

import pytest

from bench.contract.results.measured import Machine, Measured
from reports.cells.comparability import Comparability
from reports.data.frame import load
from reports.tables.tables import Table, tables
from tests.support.documents import SweepDocuments, a_measurement


def table(sweep: SweepDocuments) -> Table:
    (only,) = tables(Comparability(load(sweep.write())))
    return only


def shown(made: Table, metric: str) -> list[str]:
    return [cell.text for block in made.blocks if block.metric.key == metric for line in block.cells for cell in line]


def measured(**machine: float) -> Measured:
    """16 steps of 2048 tokens: 32,768."""
    return a_measurement(1000.0, 1).model_copy(update={"machine": Machine(others=0.0, load=1.0, **machine)})


def test_joules_per_token_and_kwh(sweep: SweepDocuments) -> None:
    sweep.repeats = 1
    (identity,) = sweep.run("fsdp", 1)
    sweep.end(identity, measured=measured(gpu_joules=65_536.0, processor_joules=16_384.0))
    (other,) = sweep.run("hsdp", 1)
    sweep.end(other, measured=measured(gpu_joules=32_768.0))
    made = table(sweep)
    assert shown(made, "gpu_j_per_token") == ["2.00", "1.00"]
    assert shown(made, "processor_j_per_token") == ["0.500", "not counted"]
    assert shown(made, "gpu_energy_kwh") == ["0.0182", "0.00910"]
    assert shown(made, "processor_energy_kwh") == ["0.00455", "not counted"]
    assert "not counted" not in made.caption
    frame = load(sweep.path).frame.set_index("run").loc[identity]
    assert frame["gpu_kwh_per_billion_tokens"] == pytest.approx(2.0 / 3.6e6 * 1e9)
    assert frame["processor_energy_kwh"] == pytest.approx(16_384 / 3.6e6)


@pytest.mark.parametrize("joules", [{}, {"processor_joules": 0.0, "gpu_joules": 0.0}], ids=["no counter", "no tick"])
def test_what_nobody_counted_is_said(sweep: SweepDocuments, joules: dict[str, float]) -> None:
    sweep.repeats = 1
    (identity,) = sweep.run("fsdp", 1)
    sweep.end(identity, measured=measured(**joules))
    made = table(sweep)
    assert "; energy of processors not counted" in made.caption
    assert shown(made, "processor_j_per_token") == shown(made, "gpu_j_per_token") == []
    assert load(sweep.path).frame["processor_energy_j"].isna().all()
    found = measured(**joules)
    gpu = found.model_copy(update={"provenance": found.provenance.model_copy(update={"devices": ["NVIDIA H200"]})})
    sweep.end(identity, measured=gpu)
    assert "energy of GPUs and processors not counted" in table(sweep).caption


@pytest.mark.parametrize(("hfu", "is_shown"), [(0.4, True), (0.3, False)])
def test_hfu_stands_beside_mfu_where_it_is_another(sweep: SweepDocuments, hfu: float, is_shown: bool) -> None:
    sweep.repeats = 1
    for strategy, of_run in (("fsdp", 0.3), ("hsdp", hfu)):
        (identity,) = sweep.run(strategy, 1)
        found = a_measurement(1000.0, 1)
        used = found.utilisation.model_copy(update={"mfu": 0.3, "hfu": of_run})
        sweep.end(identity, measured=found.model_copy(update={"utilisation": used}))
    made = table(sweep)
    assert shown(made, "mfu") == ["30.0 %", "30.0 %"]
    assert shown(made, "hfu") == (["30.0 %", "40.0 %"] if is_shown else [])
