"""One runner at a time, without locks, and a dead one does not hold the sweep."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bench.contract.storage.files import write_document
from matrix.errors import InputError, LostClaimError
from matrix.store import claim as ownership
from matrix.store.claim import Runner, claim, holder, time_of_files
from tests.support.needs import missing
from tests.support.sweeps import PATIENCE, wait_for

TAKERS = """
import sys, time
from pathlib import Path
from matrix.store.claim import claim
folder = Path(sys.argv[1])
for _ in range(10):
    with claim(folder, lambda runner: None) as own:
        held = folder.parent / "held"
        held.mkdir()  # fails where another holds the sweep
        time.sleep(0.001)
        held.rmdir()
"""


def never(runner: Runner) -> None:
    raise AssertionError(f"had to wait for {runner}")


def test_one_at_a_time(tmp_path: Path) -> None:
    takers = [subprocess.Popen([sys.executable, "-c", TAKERS, str(tmp_path / "runners")]) for _ in range(3)]
    assert [taker.wait(PATIENCE) for taker in takers] == [0, 0, 0]
    assert len(list((tmp_path / "runners").glob("*.released"))) == 30


def test_numbers_go_up_and_are_released(tmp_path: Path) -> None:
    for expected in (1, 2):
        with claim(tmp_path, never) as own:
            assert own.number == expected
            present = holder(tmp_path)
            assert present is not None
            assert present.pid == os.getpid()
        assert holder(tmp_path) is None


def test_a_dead_runner_does_not_hold_the_sweep(tmp_path: Path) -> None:
    this = Runner.this()
    write_document(tmp_path / "000001.json", this.model_copy(update={"start": this.start - 1}))
    assert holder(tmp_path) is None, "the pid lives on as another process"
    with claim(tmp_path, never) as own:
        assert own.number == 2


def test_a_claim_that_cannot_be_read_is_held_until_it_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "000001.json"
    monkeypatch.setattr(ownership, "TAKING", 0.1)
    for content in ("", "{"):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"000001\.json: cannot be read"):
            holder(tmp_path)
    past = time.time() - ownership.LOST_AFTER - 1
    os.utime(file, (past, past))
    assert holder(tmp_path) is None


def test_a_runner_that_lost_the_sweep_notices(tmp_path: Path) -> None:
    with claim(tmp_path, never) as own:
        own.check()
        write_document(tmp_path / "000002.json", Runner.this())
        with pytest.raises(LostClaimError, match="runner 2 has taken over this sweep"):
            own.check()


def test_a_runner_on_another_host_lives_while_it_beats(tmp_path: Path) -> None:
    file = tmp_path / "000001.json"
    write_document(file, Runner.this().model_copy(update={"host": "elsewhere"}))
    assert holder(tmp_path) is not None
    past = time.time() - ownership.LOST_AFTER - 1
    os.utime(file, (past, past))
    assert holder(tmp_path) is None


def test_a_claim_of_a_newer_version_is_held_until_it_is_old(tmp_path: Path) -> None:
    file = tmp_path / "000001.json"
    file.write_text(json.dumps(Runner.this().model_dump() | {"version": 2, "new": 1}), encoding="utf-8")
    with pytest.raises(InputError, match=r"000001\.json: written by a newer xffl-bench .*: use that xffl-bench"):
        holder(tmp_path)
    past = time.time() - ownership.LOST_AFTER - 1
    os.utime(file, (past, past))
    assert holder(tmp_path) is None


def test_one_failed_beat_does_not_end_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that fails for a moment, whatever is tried."""
    tries, fails = 0, True
    utime, opens = os.utime, os.open

    def no_utime(*arguments: Any, **named: Any) -> None:
        nonlocal tries
        tries += 1
        if fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        utime(*arguments, **named)

    def no_open(path: Any, *arguments: Any, **named: Any) -> int:
        if fails and str(path).endswith("000001.json"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opens(path, *arguments, **named)

    file = tmp_path / "000001.json"
    monkeypatch.setattr(ownership, "BEAT_EVERY", 0.05)
    with claim(tmp_path, never):
        monkeypatch.setattr(os, "open", no_open)
        monkeypatch.setattr(os, "utime", no_utime)
        assert wait_for(lambda: tries, 5)
        fails, before = False, file.stat().st_mtime_ns
        assert wait_for(lambda: file.stat().st_mtime_ns > before, 5), "no beat after the one that failed"


def test_a_lost_reply_to_link_is_not_another_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS repeats the request, and answers that the link, which the first one made, exists."""
    real = os.link

    def link_twice(*names: Path) -> None:
        real(*names)
        real(*names)

    monkeypatch.setattr(os, "link", link_twice)
    with claim(tmp_path, never) as own:
        assert own.number == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000001.json", "000001.released"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS])
def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(*names: Path) -> None:
        raise OSError(number, os.strerror(number), names[0])

    monkeypatch.setattr(os, "link", link)
    for expected in (1, 2):
        with claim(tmp_path, never) as own:
            assert own.number == expected
            assert not ownership._take(tmp_path, expected), "only one takes a number"
            present = holder(tmp_path, time_of_files)
            assert present is not None
            assert present.pid == os.getpid()
    names = [f"00000{number}.{kind}" for number in (1, 2) for kind in ("json", "released")]
    assert sorted(file.name for file in tmp_path.iterdir()) == names


def test_one_at_a_time_without_hard_links(tmp_path: Path) -> None:
    without = f"import os\ndef link(*names): raise OSError({errno.EPERM}, '')\nos.link = link\n{TAKERS}"
    takers = [subprocess.Popen([sys.executable, "-c", without, str(tmp_path / "runners")]) for _ in range(3)]
    assert [taker.wait(PATIENCE) for taker in takers] == [0, 0, 0]
    assert len(list((tmp_path / "runners").glob("*.released"))) == 30


def test_a_runner_without_hard_links_may_be_slow_to_complete_its_file(tmp_path: Path) -> None:
    """Between the two steps that take a number a busy host may run other processes for seconds."""
    runner = Runner.this()
    file = tmp_path / "000001.json"
    file.touch()
    completes = threading.Timer(3, write_document, (file, runner))
    completes.start()
    try:
        assert holder(tmp_path) == runner
    finally:
        completes.join()


def test_a_file_may_be_completed_just_after_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner.this()
    file = tmp_path / "000001.json"
    file.touch()
    read = ownership.read_own

    def read_then_complete(path: Path, kind: type[Runner]) -> Runner:
        try:
            return read(path, kind)
        finally:
            write_document(file, runner)

    monkeypatch.setattr(ownership, "read_own", read_then_complete)
    assert holder(tmp_path) == runner


def test_a_runner_in_another_pid_namespace_lives_while_it_beats(tmp_path: Path) -> None:
    """Its pid means nothing here."""
    file = tmp_path / "000001.json"
    this = Runner.this()
    assert this.pid_namespace is not None
    for namespace in (this.pid_namespace + 1, None):
        write_document(file, this.model_copy(update={"pid_namespace": namespace, "start": this.start - 1}))
        assert holder(tmp_path) is not None
        past = time.time() - ownership.LOST_AFTER - 1
        os.utime(file, (past, past))
        assert holder(tmp_path) is None


HOLDS = """
import sys
from pathlib import Path
from matrix.store.claim import claim
with claim(Path(sys.argv[1]), lambda runner: None) as own:
    print(own.number, flush=True)
    sys.stdin.read()
"""


def unshared(*options: str) -> list[str]:
    """The beginning of a command in a PID namespace of its own."""
    words = ["unshare", "--pid", "--fork", *options]
    try:
        done = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        missing("unshare", "install util-linux")
    if done.returncode:
        missing("a PID namespace", f"run the tests as root ({done.stderr.strip()})")
    return words


def test_real_pid_namespaces_of_one_host_do_not_both_hold_a_sweep(tmp_path: Path) -> None:
    words = [*unshared("--mount-proc"), sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as inside:
        assert inside.stdout is not None
        assert inside.stdout.readline() == "1\n"
        present = holder(tmp_path, time_of_files)
        inside.communicate("")
    assert present is not None, "declared dead by another /proc than its own"
    assert holder(tmp_path) is None


def test_a_proc_of_another_namespace_is_refused(tmp_path: Path) -> None:
    words = [*unshared(), sys.executable, "-c", HOLDS, str(tmp_path)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "InputError: /proc: it is that of another PID namespace" in done.stderr
    assert list(tmp_path.iterdir()) == []


HIDDEN = """
import os, subprocess, sys
from pathlib import Path
from matrix.store.claim import holder
holder(Path(sys.argv[1]))  # all modules are loaded while their files can be read
subprocess.run(["mount", "-t", "proc", "-o", f"hidepid={sys.argv[2]}", "proc", "/proc"], check=True)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
runner = holder(Path(sys.argv[1]))
print(runner and runner.pid)
"""


@pytest.mark.parametrize("hidepid", ["1", "2"])
def test_the_runner_of_a_user_whose_processes_are_hidden_lives_while_it_beats(hidepid: str) -> None:
    unshared()  # needs as much
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, claim(Path(folder), never):
        Path(folder).chmod(0o755)

        def seen() -> str:
            words = ["unshare", "--mount", sys.executable, "-c", HIDDEN, folder, hidepid]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        assert seen() == str(os.getpid()), "taken for dead, though it lives"
        past = time.time() - ownership.LOST_AFTER - 1
        os.utime(Path(folder) / "000001.json", (past, past))
        assert seen() == "None"


def test_a_claim_that_has_ended_is_lost(tmp_path: Path) -> None:
    reason = ""
    with claim(tmp_path, never, lambda: reason) as own:
        own.check()
        reason = "this job has been closed"
        with pytest.raises(LostClaimError, match="this job has been closed"):
            own.check()
