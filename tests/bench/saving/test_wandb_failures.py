"""A W&B that is missing, refuses or takes too long costs a run nothing but a caution."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bench.contract.results.outcomes import Caution
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.host.process import OWNER
from matrix.host.processes import end_all, owned
from tests.support.tracked import STEPS, Tracked, cautions, hand, with_mode


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


def in_place_of_wandb(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process that uploads import this as wandb."""
    module = folder / "modules" / "wandb.py"
    module.parent.mkdir()
    module.write_text(program, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(module.parent), prepend=":")


def test_where_wandb_is_missing_the_log_says_what_to_install(
    wandb_run: Run,
    attempt: AttemptFolder,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    in_place_of_wandb("raise ModuleNotFoundError(\"No module named 'wandb'\", name='wandb')", tmp_path, monkeypatch)
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
    in_place_of_wandb("import time; time.sleep(40)", tmp_path, monkeypatch)
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
