"""A real night in which one combination was slowed: it is found, run again, and found to be as fast as before."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.contract.run import Run
from bench.contract.storage.files import RunFolder
from reports.nights.document import Change, CompareDocument
from tests.support.sweeps import SmallSweep

SLOW = 8
"""Batch size of the combination that is slowed."""

PLANTED = f"""
import sys
if "bench.start" in sys.orig_argv:  # the process that ranks are forked from
    import time
    from bench.measure.progress import Progress

    finished = Progress.finished

    def slowly(self, step, losses):
        time.sleep(0.5 if ".b{SLOW}." in str(self._folder.path) else 0)
        finished(self, step, losses)

    Progress.finished = slowly
"""
"""A sitecustomize.py with which every step of these runs takes half a second longer: many times as long."""

TOLERANCE = "60"
"""Percent: nights on a machine that others use, too, differ as a whole."""


class SlowedNights:
    """Nights of one sweep of two combinations, each in a folder of its own."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder = folder
        self.sweep = SmallSweep(folder, data, ranks_per_node=1)
        self.sweep.write(["fsdp"], repeats=4)
        matrix = yaml.safe_load(self.sweep.matrix.read_text(encoding="utf-8"))
        matrix["axes"]["batch_size"] = [2, SLOW]
        self.sweep.matrix.write_text(yaml.safe_dump(matrix), encoding="utf-8")

    def run(self, name: str, *options: str) -> Path:
        self.sweep.results = self.folder / name
        self.sweep.run(*options)
        return self.sweep.results / "small"

    def compare(self, old: Path, new: Path, expect: int) -> CompareDocument:
        printed = self.sweep.call("compare", str(old), str(new), "--json", "--tolerance", TOLERANCE, expect=expect)
        (self.folder / "compared.json").write_text(printed, encoding="utf-8")
        return CompareDocument.model_validate_json(printed)


def speed(found: CompareDocument, batch_size: int) -> Change:
    (figure,) = (
        each for each in found.figures if each.metric == "tokens_per_s" and each.labels["batch_size"] == batch_size
    )
    return figure.verdict


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_suspect_that_is_run_again_is_cleared(tmp_path: Path, data: Path) -> None:
    nights = SlowedNights(tmp_path, data)
    old = nights.run("old")
    (tmp_path / "sitecustomize.py").write_text(PLANTED, encoding="utf-8")
    plain = nights.sweep.variables
    nights.sweep.variables = plain | {"PYTHONPATH": f"{tmp_path}:{plain.get('PYTHONPATH', '')}"}
    new = nights.run("new")
    found = nights.compare(old, new, expect=1)
    assert speed(found, SLOW) is Change.REGRESSED
    assert speed(found, 2) is not Change.REGRESSED
    assert [each["batch_size"] for each in found.suspects] == [SLOW]

    nights.sweep.variables = plain
    again = nights.run("again", "--only-suspects", str(tmp_path / "compared.json"))
    made = [Run.model_validate_json(RunFolder(run).run.read_text()) for run in sorted((again / "runs").iterdir())]
    assert [run.batch_size for run in made] == [SLOW] * 4
    cleared = nights.compare(old, again, expect=0)
    assert speed(cleared, SLOW) is not Change.REGRESSED
    assert cleared.suspects == []
