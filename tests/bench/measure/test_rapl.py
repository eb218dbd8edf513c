"""Energy of processors, on a made tree of sysfs; a virtual machine has none of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.measure import machine
from bench.measure.machine import MachineMeter, MachineUse, machine_state
from bench.measure.rapl import ProcessorEnergy

RANGE = 65_532_610_987


class Tree:
    """Counters of a machine of two packages, with what lies beside and below them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.zone("intel-rapl:0", "package-0", 1_000_000)
        self.zone("intel-rapl:0/intel-rapl:0:0", "core", 500_000)
        self.zone("intel-rapl:0:0", "core", 500_000)
        self.zone("intel-rapl:1", "package-1", 2_000_000)
        self.zone("intel-rapl:1:1", "dram", 300_000)
        self.zone("intel-rapl:2", "psys", 9_000_000)
        self.zone("intel-rapl-mmio:0", "package-0", 1_000_000)

    def zone(self, place: str, name: str, microjoules: int) -> None:
        folder = self.root / place
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
        self.set(place, microjoules)

    def set(self, place: str, microjoules: int) -> None:
        (self.root / place / "energy_uj").write_text(f"{microjoules}\n")

    def energy(self) -> ProcessorEnergy:
        found = ProcessorEnergy.of_machine(self.root)
        assert found is not None
        return found


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_packages_count_once_and_start_again_from_0(tree: Tree) -> None:
    energy = tree.energy()
    energy.start()
    tree.set("intel-rapl:0", 4_000_000)
    for place in ("intel-rapl:0:0", "intel-rapl:1:1", "intel-rapl:2", "intel-rapl-mmio:0"):
        tree.set(place, 50_000_000)
    energy.update()
    assert energy.joules == pytest.approx(3.0)
    tree.set("intel-rapl:1", 500_000)  # once around, from 2 J
    energy.update()
    assert energy.joules == pytest.approx(3.0 + RANGE / 1e6 - 1.5)
    tree.set("intel-rapl:1", 400_000)  # and again
    energy.update()
    assert energy.joules == pytest.approx(3.0 + 2 * RANGE / 1e6 - 1.6)
    energy.start()
    energy.update()
    assert energy.joules == 0


@pytest.mark.parametrize("gone", ["energy_uj", "max_energy_range_uj"])
def test_what_cannot_be_read_is_not_counted(tree: Tree, gone: str) -> None:
    energy = tree.energy()
    energy.start()
    (tree.root / "intel-rapl:1" / gone).unlink()
    assert ProcessorEnergy.of_machine(tree.root) is None, "one package is not the machine"
    energy.update()
    assert (energy.joules is None) == (gone == "energy_uj")
    assert ProcessorEnergy.of_machine(tree.root / "none") is None


def test_the_window_is_counted_and_read_within(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "UPDATE_EVERY", 0.0)
    meter = MachineMeter(2, 4, None, tree.energy())
    for step, microjoules in enumerate([5_000_000, 6_000_000, 1_000_000, 500_000, 2_000_000]):  # twice around
        tree.set("intel-rapl:0", microjoules)
        meter.finished(step)
    assert meter.read().processor_joules == pytest.approx((2 * RANGE - 6_000_000 + 2_000_000) / 1e6)
    assert MachineMeter(2, 4).read().processor_joules is None


RANK = MachineUse(cores=4, seconds=10.0, idle=40.0, own=0.0, load=0.0, throttled=None)
FIRST, OTHER_HOST = replace(RANK, processor_joules=500.0), replace(RANK, processor_joules=501.0)


def test_a_machine_counts_once_also_where_it_plays_several_hosts() -> None:
    uses = [("m", FIRST), ("m", RANK), ("m", OTHER_HOST), ("n", FIRST), ("n", RANK)]
    assert machine_state(uses).processor_joules == 1001.0
    assert machine_state([*uses, ("o", RANK)]).processor_joules is None, "some machines are not the run's"
    assert machine_state([("m", RANK)]).processor_joules is None
