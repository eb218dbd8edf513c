"""Ranks that are tracked by a real W&B in mode offline, and what that wrote."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Caution
from bench.contract.run import Run, Wandb
from bench.contract.storage.files import AttemptFolder
from bench.host.process import OWNER
from bench.measure.progress import Progress
from bench.saving.tracking import hand_over
from matrix.host.processes import owned
from tests.support.runs import make_run

ASKED = Wandb(mode="offline", entity="us", project="ours", notes="Why it ran.", tags=["tiny", "gloo"])
STEPS = 6
TIMEOUT = 240.0
OURS = f"tracked-{os.getpid()}/"
"""What the owner of these ranks' processes begins with; other workers of pytest have their own."""
TEARDOWN = ("-m", "tests.support.teardown")


def records(file: Path) -> Iterator[Any]:
    """The records of a `.wandb` file: protocol buffers in LevelDB's log format, after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, whole = file.read_bytes(), 7, b""
    while place < len(content):
        if 32768 - place % 32768 < 7:  # what is left of a block holds no header
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""


def values(items: Any) -> dict[str, Any]:
    """Keys with their values; those of a nested key are joined by dots."""
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def files(attempt: AttemptFolder) -> list[Path]:
    """The files of the offline runs in an attempt's folder."""
    return list(attempt.wandb.glob("offline-run-*/*.wandb"))


class Tracked:
    """What an offline run holds, which is the only one in an attempt's folder unless its file is given."""

    def __init__(self, attempt: AttemptFolder, file: Path | None = None) -> None:
        if file is None:
            (file,) = files(attempt)
        found = list(records(file))
        (self.run,) = [record.run for record in found if record.HasField("run")]
        self.config = values(self.run.config.update)
        for record in found:
            if record.HasField("config"):
                self.config |= values(record.config.update)
        history = [values(record.history.item) for record in found if record.HasField("history")]
        self.steps = [{key: row[key] for key in row if key.startswith("train/")} for row in history]
        self.numbers = [row["_step"] for row in history]
        self.live = [row for row in history if "live/loss" in row]
        self.summary: dict[str, Any] = {}
        for record in found:
            if record.HasField("summary"):
                self.summary |= values(record.summary.update)
        self.statuses = [record.exit.exit_code for record in found if record.HasField("exit")]
        self.is_whole = any(record.HasField("exit") and record.exit.exit_code == 0 for record in found)


def untold(trained: AttemptFolder, folder: Path) -> AttemptFolder:
    """Another attempt with the same figures, not yet handed over."""
    again = AttemptFolder(folder)
    again.create()
    for file in ("measured", "steps"):
        getattr(again, file).write_bytes(getattr(trained, file).read_bytes())
    return again


def a_tracked_run(data: Path, asked: Wandb) -> Run:
    """A run of two ranks in one shard group that W&B is to track."""
    run = make_run(data, (2, 1, 1), steps=STEPS, warmup_steps=2, every=2, block=2, val_samples=4, log_level="error")
    return run.model_copy(update={"wandb": asked, "id": "llama-tiny.r0-1a2b3c", "sweep": "sweep"})


def cautions(attempt: AttemptFolder) -> list[Caution]:
    """Those of the run, once it is handed over."""
    return Measured.model_validate_json(attempt.measured.read_text()).cautions


def hand(run: Run, attempt: AttemptFolder, longest: float = 60) -> None:
    """Hand over a run that nothing has followed."""
    hand_over(run, attempt, Progress(attempt, 0, STEPS, 64), longest=longest)


def with_mode(run: Run, mode: str) -> Run:
    return run.model_copy(update={"wandb": ASKED.model_copy(update={"mode": mode})})


def train(run: Run, folder: Path) -> AttemptFolder:
    """Have two ranks train, forked as the warm launcher forks them; the user's environment says otherwise."""
    assert ranks(run, folder) == "1 clean\n"
    return AttemptFolder(folder / "out" / "0")


def ranks(run: Run, folder: Path, program: Sequence[str] = TEARDOWN) -> str:
    """Have ranks train in `folder`/out/0; what the program that forks them says."""
    (folder / "home").mkdir()
    (folder / "run.json").write_text(run.model_dump_json(), encoding="utf-8")
    command = [sys.executable, *program, str(folder / "run.json"), str(folder / "out"), "1"]
    contrary = {"WANDB_MODE": "disabled", "WANDB_PROJECT": "other", "WANDB_RUN_ID": "same", "WANDB_JOB_TYPE": "other"}
    environment = {**os.environ, **contrary, "HOME": str(folder / "home"), OWNER: f"{OURS}1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=TIMEOUT)
    assert not list(owned(OURS)), "W&B's service outlived the ranks"
    assert not list((folder / "home").iterdir())
    return done.stdout + done.stderr
