"""A real run is handed to a real W&B in mode offline, and read back from what that wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Caution
from bench.contract.results.result import Heartbeat
from bench.contract.run import Run, Wandb
from bench.contract.storage.files import AttemptFolder, write_document
from bench.host.process import OWNER
from bench.measure.progress import Progress
from bench.saving.tracking import Tracking, hand_over
from bench.saving.wandb import step_metrics
from matrix.host.processes import end_all, owned
from tests.support.runs import make_run
from tests.support.sweeps import wait_for
from tests.support.tracked import Tracked, records, train, untold

ASKED = Wandb(mode="offline", entity="us", project="ours", notes="Why it ran.", tags=["tiny", "gloo"])
STEPS = 6


class Refusing(BaseHTTPRequestHandler):
    """A W&B that takes nothing from anyone, and says so at once: a network that is gone is waited for."""

    def do_POST(self) -> None:
        self.send_error(403)

    do_GET = do_POST  # noqa: N815 - the names that the server looks for

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def wandb_run(data: Path) -> Run:
    asked = make_run(data, (2, 1, 1), steps=STEPS, warmup_steps=2, every=2, block=2, val_samples=4, log_level="error")
    secret = asked.system.model_copy(update={"environment": {"NCCL_DEBUG": "WARN", "WANDB_API_KEY": "no"}})
    return asked.model_copy(update={"wandb": ASKED, "id": "llama-tiny.r0-1a2b3c", "sweep": "sweep", "system": secret})


@pytest.fixture(scope="module")
def trained(wandb_run: Run, tmp_path_factory: pytest.TempPathFactory) -> AttemptFolder:
    return train(wandb_run, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def tracked(trained: AttemptFolder) -> Tracked:
    return Tracked(trained)


@pytest.fixture
def attempt(trained: AttemptFolder, tmp_path: Path) -> AttemptFolder:
    return untold(trained, tmp_path / "0")


def hand(run: Run, attempt: AttemptFolder, longest: float = 60) -> None:
    hand_over(run, attempt, Progress(attempt, 0, STEPS, 64), longest=longest)


def with_mode(run: Run, mode: str) -> Run:
    return run.model_copy(update={"wandb": ASKED.model_copy(update={"mode": mode})})


def cautions(attempt: AttemptFolder) -> list[Caution]:
    return Measured.model_validate_json(attempt.measured.read_text()).cautions


def test_a_run_is_named_as_the_matrix_file_says(tracked: Tracked) -> None:
    run = tracked.run
    assert (run.entity, run.project, run.notes, list(run.tags)) == ("us", "ours", "Why it ran.", ["tiny", "gloo"])
    assert (run.run_group, run.display_name) == ("sweep", "llama-tiny.r0-1a2b3c")
    assert (run.job_type, run.run_id == "same") == ("", False)  # as only the environment said
    assert tracked.is_whole


def test_names_that_are_given_take_the_place_of_defaults(wandb_run: Run, attempt: AttemptFolder) -> None:
    named = ASKED.model_copy(update={"group": "mine", "name": "a name"})
    hand(wandb_run.model_copy(update={"wandb": named}), attempt)
    found = Tracked(attempt).run
    assert (found.run_group, found.display_name) == ("mine", "a name")
    assert Caution.WANDB_FAILED not in cautions(attempt)


def test_the_configuration_is_the_run(tracked: Tracked, wandb_run: Run, trained: AttemptFolder) -> None:
    config = {key: value for key, value in tracked.config.items() if key != "_wandb"}
    made = json.loads(trained.measured.read_text())["provenance"]
    asked = json.loads(wandb_run.model_dump_json(exclude={"wandb"}))
    asked["system"]["environment"] = {"NCCL_DEBUG": "WARN"}  # without the key, which is no one's business
    assert config == {**asked, "provenance": made}


def test_metrics_are_those_of_the_step_table(tracked: Tracked, trained: AttemptFolder) -> None:
    assert tracked.numbers == list(range(STEPS))
    rows = pq.read_table(trained.steps).to_pylist()
    trained_tokens = 0
    for step, found in enumerate(tracked.steps):
        groups = [row for row in rows if row["step"] == step]
        tokens = sum(row["tokens"] for row in groups)
        trained_tokens += tokens
        loss = sum(row["loss"] * row["tokens"] for row in groups) / tokens
        assert found.pop("train/loss") == pytest.approx(loss, rel=1e-12)
        assert found == {
            "train/learning_rate": groups[0]["learning_rate"],
            "train/step_seconds": max(row["seconds"] for row in groups),
            "train/aggregation_seconds": max(row["aggregation_s"] for row in groups),
            "train/tokens": tokens,
            "train/trained_tokens": trained_tokens,
            "train/loss_of_group/0": groups[0]["loss"],
            "train/loss_of_group/1": groups[1]["loss"],
        }
    assert groups[0]["loss"] != groups[1]["loss"]
    assert groups[0]["aggregation_s"] > 0


def test_groups_weigh_by_their_tokens() -> None:
    rows = {"group": [0, 1], "tokens": [30, 10], "loss": [1.0, 5.0], "learning_rate": [0.1, 0.1]}
    table = pa.table(rows | {"seconds": [1.0, 2.0], "aggregation_s": [0.0, 0.5]})
    (found,) = step_metrics(table)
    assert found["train/loss"] == 2.0
    assert (found["train/step_seconds"], found["train/aggregation_seconds"]) == (2.0, 0.5)


def test_the_summary_is_what_was_measured(tracked: Tracked, wandb_run: Run, trained: AttemptFolder) -> None:
    summary = {key: value for key, value in tracked.summary.items() if not key.startswith(("train/", "_"))}
    measured = Measured.model_validate_json(trained.measured.read_text())
    written = json.loads(trained.measured.read_text())
    del written["provenance"], written["validations"]  # the configuration, and metrics of their steps
    assert summary == {
        **written,
        "run": wandb_run.id,
        "tokens_per_s": measured.window.tokens_per_s,
        "perplexity": measured.loss.perplexity,
    }
    assert Caution.WANDB_FAILED not in measured.cautions
    assert Caution.CPU_MEMORY in summary["cautions"]


def test_all_files_are_in_the_attempts_folder(trained: AttemptFolder) -> None:
    assert not Path("wandb").exists()
    assert not list(trained.wandb.glob("offline-run-*/files/*")), "code, requirements or console were saved"


def test_the_ranks_last_word_comes_before_it(trained: AttemptFolder) -> None:
    """So that a run whose handing over is cut off, by its time limit say, is a completed run."""
    (file,) = trained.wandb.glob("offline-run-*/*.wandb")
    assert file.stat().st_mtime_ns > trained.rank_end(0).stat().st_mtime_ns


def test_disabled_writes_nothing(wandb_run: Run, attempt: AttemptFolder) -> None:
    before = sorted(attempt.path.rglob("*"))
    hand(with_mode(wandb_run, "disabled"), attempt)
    assert sorted(attempt.path.rglob("*")) == before


def test_a_rank_never_imports_wandb() -> None:
    program = "import sys, bench.saving.wandb; print({'wandb', 'torch'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("key", [None, "0123456789" * 4], ids=["no key", "refused"])
def test_what_cannot_be_made_online_is_kept_on_the_disk(
    wandb_run: Run,
    attempt: AttemptFolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refusing: str,
    key: str | None,
) -> None:
    monkeypatch.setenv("HOME", str(attempt.path))  # where no key lies
    monkeypatch.setenv("WANDB_BASE_URL", refusing)
    if key is None:
        monkeypatch.delenv("WANDB_API_KEY", raising=False)
    else:
        monkeypatch.setenv("WANDB_API_KEY", key)
    hand(with_mode(wandb_run, "online"), attempt)
    assert cautions(attempt)[-1] is Caution.WANDB_FAILED
    assert "the upload to Weights & Biases is incomplete" in caplog.text
    kept = Tracked(attempt)
    assert len(kept.steps) == STEPS
    assert kept.is_whole


def test_where_wandb_is_missing_the_log_says_what_to_install(
    wandb_run: Run,
    attempt: AttemptFolder,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    absent = tmp_path / "absent" / "wandb.py"
    absent.parent.mkdir()
    absent.write_text("raise ModuleNotFoundError(\"No module named 'wandb'\", name='wandb')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{absent.parent}:{os.environ.get('PYTHONPATH', '')}")
    hand(wandb_run, attempt)
    assert cautions(attempt)[-1] is Caution.WANDB_FAILED
    said = capfd.readouterr().err
    assert "install xffl-bench[wandb]" in said
    assert "Traceback" not in said


def test_what_takes_too_long_is_ended_and_the_run_goes_on(
    wandb_run: Run,
    attempt: AttemptFolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    slow = tmp_path / "slow" / "wandb.py"
    slow.parent.mkdir()
    slow.write_text("import time; time.sleep(40)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{slow.parent}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv(OWNER, "slow/1")
    try:
        hand(wandb_run, attempt, longest=2)
        assert not list(owned("slow/"))
    finally:
        end_all("slow/")
    assert "it took longer than 2 s" in caplog.text
    assert cautions(attempt)[-1] is Caution.WANDB_FAILED
    beat = attempt.last_heartbeat()
    assert beat is not None
    assert beat.phase == "tracking"


@pytest.fixture
def followed(wandb_run: Run, attempt: AttemptFolder) -> Iterator[Tracking]:
    """The process that follows an attempt whose figures are already there, but for its heartbeats."""
    live = ASKED.model_copy(update={"live": True})
    started = Tracking(wandb_run.model_copy(update={"wandb": live}), attempt)
    try:
        started.wait_until_ready(lambda: None)
        assert attempt.tracking_ready.exists()
        yield started
    finally:
        started.kill()


def beat(attempt: AttemptFolder, step: int, loss: float | None, rate: float | None = None) -> None:
    heartbeat = Heartbeat(phase="training", step=step, steps=STEPS, loss=loss, tokens_per_s=rate)
    write_document(attempt.heartbeat, heartbeat, durable=False)


def sent(attempt: AttemptFolder) -> list[dict[str, float]]:
    return [{key: row[key] for key in row if key[0] != "_"} | {"step": row["_step"]} for row in Tracked(attempt).live]


def test_a_run_is_followed_and_then_filled(wandb_run: Run, attempt: AttemptFolder, followed: Tracking) -> None:
    progress = Progress(attempt, 0, STEPS, 64)
    progress.finished(3, torch.tensor([5.25]))
    assert wait_for(lambda: (beat := attempt.last_heartbeat()) is not None and beat.step == 3)
    hand_over(wandb_run, attempt, progress, followed, longest=60)
    assert sent(attempt) == [{"step": 3, "live/loss": 5.25}]
    whole = Tracked(attempt)
    assert whole.is_whole
    assert [step["train/step"] for step in whole.steps if "train/step" in step] == list(range(STEPS))
    assert whole.summary["run"] == wandb_run.id
    assert Caution.WANDB_FAILED not in cautions(attempt)


@pytest.mark.soak
def test_real_ranks_are_followed(wandb_run: Run, tmp_path: Path) -> None:
    live = wandb_run.model_copy(update={"wandb": ASKED.model_copy(update={"live": True})})
    attempt = train(live, tmp_path)
    assert sent(attempt)[-1]["step"] == STEPS - 1
    assert Tracked(attempt).is_whole
    assert Caution.WANDB_FAILED not in cautions(attempt)


DYING = f"dies{os.getpid()}/1"
"""Owner of the process of this program."""

DIES = """
import os, signal, sys, time
from pathlib import Path
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.saving.tracking import Tracking

folder = AttemptFolder(Path(sys.argv[1]))
Tracking(Run.model_validate_json(sys.stdin.read()), folder).wait_until_ready(lambda: None)
while not (folder.path / "die").exists():
    time.sleep(0.05)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_dies_is_there_too(wandb_run: Run, attempt: AttemptFolder) -> None:
    live = wandb_run.model_copy(update={"wandb": ASKED.model_copy(update={"live": True})})
    command = [sys.executable, "-c", DIES, str(attempt.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env={**os.environ, OWNER: DYING}) as rank:
        assert rank.stdin is not None
        rank.stdin.write(live.model_dump_json())
        rank.stdin.close()
        try:
            assert wait_for(attempt.tracking_ready.exists)
            beat(attempt, 3, 5.25, 100.0)
        finally:
            (attempt.path / "die").touch()
    assert rank.returncode == -signal.SIGKILL
    assert wait_for(lambda: not list(owned(DYING))), "what followed it is left"
    assert Tracked(attempt).statuses == [1]
    assert sent(attempt) == [{"step": 3, "live/loss": 5.25, "live/tokens_per_s": 100.0}]


def test_if_what_follows_a_run_dies_all_is_uploaded_by_another(
    wandb_run: Run, attempt: AttemptFolder, followed: Tracking
) -> None:
    followed.kill()
    hand_over(wandb_run, attempt, Progress(attempt, 0, STEPS, 64), followed, longest=60)
    assert Caution.WANDB_FAILED not in cautions(attempt)
    files = list(attempt.wandb.glob("offline-run-*/*.wandb"))
    assert len(files) == 2
    assert any(record.HasField("exit") for record in records(max(files, key=lambda file: file.stat().st_mtime_ns)))
