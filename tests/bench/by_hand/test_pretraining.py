"""`xffl exec bench/training.py CONFIG -c CLASS` by the real library: it trains what is named, or says why not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from matrix.launchers.base import free_port
from tests.support.standin.places import Place, place, real_xffl

ROOT = Path(__file__).parents[3]

CONFIGURATIONS = """
from bench.config import *

@dataclass
class small(tiny_config):
    loglevel: int = logging.DEBUG
    dataset_info: DatasetInfo = field(
        default_factory=lambda: synthetic(path=Path("{data}"), subsampling={{"train": 16, "val": 8}})
    )

@dataclass
class federated(small):
    federated_scaling: int | None = 1
    federated_batches: int | None = 2

@dataclass
class without_batches(federated):
    federated_batches: int | None = None

@dataclass
class undivided(federated):
    federated_scaling: int | None = 3

@dataclass
class unsharded(small):
    hsdp: int | None = 3

@dataclass
class saving(small):
    output_folder: Path | None = Path("{data}")
    output_model: str | None = "model"
"""


@dataclass
class ByHand:
    """Two ranks of the seed's own command, with configurations for this test."""

    place: Place
    folder: Path
    environment: dict[str, str]

    def __call__(self, name: str, *options: str) -> tuple[int, str]:
        """Return the exit status and the output of both ranks."""
        facility = (ROOT / "matrix/examples/cpu-facility.sh").read_text()
        port = f"LLaMA_default_env() {{ export MASTER_PORT={free_port()}; }}"  # xFFL has always the same
        (self.folder / "facility.sh").write_text(f"{facility}{port}\nexport PYTHONPATH={ROOT}\n")
        words = ["exec", ROOT / "bench/training.py", "own.py", "-c", name, "-f", "facility.sh", "-v", sys.prefix]
        hosts = ["127.0.0.1", "127.0.0.2"]
        done = subprocess.run(
            [self.place.command, *words, *options, "-ws", "2", "-n", *hosts],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=220,
            check=False,
        )
        return done.returncode, re.sub(r"\x1b\[[\d;]*m", "", done.stdout)


@pytest.fixture
def by_hand(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ByHand]:
    with place(tmp_path, "real", "standin") as found:
        for name, value in found.variables.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "own.py").write_text(CONFIGURATIONS.format(data=data))
        yield ByHand(found, tmp_path, dict(os.environ))


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("federated", [], r"federated: the installed xFFL does not average federated groups on this system \(cpu\)"),
        ("without_batches", [], r"without_batches.federated_batches: should be .* not None"),
        ("small", ["-fs", "1,1"], r"small.federated_batches: should be .* made by -fs, not None"),
        ("small", ["-fs", "1"], r"-fs 1: should be the number of nodes of each federated group"),
        ("undivided", [], r"undivided.federated_scaling: groups of 3 ranks are not a division of the 2 ranks"),
        ("unsharded", [], r"unsharded.hsdp: shard groups of 3 ranks are not a division of the 2 ranks"),
        ("saving", [], r"saving.output_model: xFFL cannot save on 2 CPU ranks"),
        ("none", [], r"'none' \(-c\) is not a configuration in this file: choose .*small"),
    ],
)
def test_what_the_library_would_train_wrongly_is_refused_before_the_training(
    by_hand: ByHand, name: str, options: list[str], fault: str
) -> None:
    status, said = by_hand(name, *options)
    assert re.search(fault, said), said
    assert status == 1, "xffl exec's own status of any failure"
    assert "Traceback" not in said
    assert "Starting epoch" not in said


def test_what_is_named_is_trained_and_its_phases_are_reported(by_hand: ByHand) -> None:
    status, said = by_hand("small")
    assert status == 0, said
    assert re.search(r"Train loss \(avg\): \d", said)
    for phase in ("rendezvous", "check", "model", "data"):
        assert len(re.findall(rf"{phase}: \d+\.\d\d s \(set-up so far: \d", said)) == 1, phase
    assert re.search(r"llama-tiny: 0\.\d\d million trainable parameters", said)
    assert "memory before training: " in said


def test_the_summary_of_the_wandb_run_has_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    real_xffl()
    from bench.by_hand.pretraining import _report

    class Run:
        summary: dict[str, float] = {}  # noqa: RUF012

    _report({"Train loss (avg):\t\t": 2.5}, [0.0, 1.0, 3.0], 12, Run())
    assert list(Run.summary.values()) == [2.5, 8.0]
    assert capsys.readouterr().out.splitlines() == [f"{name}: {value:.4g}" for name, value in Run.summary.items()]
