"""What is deleted of earlier nights, and what never is."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from bench.contract.results.outcomes import Outcome
from bench.contract.storage.files import write_document
from matrix.nightly.keep import prunable, prune
from matrix.nightly.nightly_file import Keep
from matrix.nightly.record import NightRecord, NightStatus, last_good, recorded_nights, write_record
from matrix.store.claim import Runner
from tests.support.documents import SweepDocuments

GOOD, BAD = NightStatus.GOOD, NightStatus.REGRESSED


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def write(results: Path, day: int, status: NightStatus = GOOD, *, accepted: bool = False) -> Path:
    """A night of a run that completed and one that crashed, each with everything bulky."""
    date = f"2030-01-{day:02d}"
    made = SweepDocuments(results / date / "nightly", nodes=(1,), repeats=2)
    completed, crashed = made.run("fsdp", 1, speeds=[100.0])
    made.end(crashed, Outcome.CRASHED, "rank 0: KeyError")
    for run in (completed, crashed):
        attempt = made.folder(run).attempt(0)
        for folder in (attempt.logs, attempt.checkpoint, attempt.model, attempt.traces, attempt.wandb):
            folder.mkdir(parents=True)
            (folder / "file").write_text("content")
    path = made.write()
    write_record(path, NightRecord(night=date, status=status, accepted=accepted, summary=[]))
    return path


def pruned(results: Path, nights: int, bulky: int, golden_from: str = "") -> list[Path]:
    found = prunable(recorded_nights(results, "nightly"), Keep(nights=nights, bulky=bulky), golden_from)
    return [each.path for each in found]


def test_old_nights_go_but_never_the_last_good_an_accepted_or_the_golden_one(results: Path) -> None:
    golden, accepted, plain, good, *bad = (
        write(results, day, status, accepted=day == 2)
        for day, status in enumerate([GOOD, BAD, GOOD, GOOD, BAD, BAD, BAD], start=1)
    )
    gone = {path for path in pruned(results, 2, 2, str(golden)) if path.name == "nightly"}
    assert gone == {plain, bad[0]}
    found = last_good(recorded_nights(results, "nightly"), "2030-01-09")
    assert found is not None
    assert found.folder == good
    kept = {path for path in pruned(results, 2, 2) if path.name == "nightly"}
    assert kept == {golden, plain, bad[0]}
    assert accepted not in kept


def test_what_is_bulky_goes_first_and_logs_of_failures_stay(results: Path) -> None:
    old, new = write(results, 1), write(results, 2)
    gone = pruned(results, 10, 1)
    of_old = {path.relative_to(old).as_posix().replace("llama-tiny.fsdp.n1.s1.b4.", "") for path in gone}
    common = {"checkpoint", "model", "traces", "wandb"}
    assert of_old == {f"runs/r{run}/attempts/0/{name}" for run in (0, 1) for name in common} | {
        "runs/r0/attempts/0/logs"
    }
    prune(prunable(recorded_nights(results, "nightly"), Keep(nights=10, bulky=1), ""))
    assert pruned(results, 10, 1) == []
    assert len(list(old.glob("runs/*/result.json"))) == len(list(new.glob("runs/*/result.json"))) == 2


def test_the_newest_night_keeps_everything_whatever_its_status(results: Path) -> None:
    write(results, 1, BAD)
    assert pruned(results, 1, 1) == []
    old = results / "2030-01-01" / "nightly"
    write(results, 2, BAD)
    assert pruned(results, 1, 7) == [old], "nights that are not kept at all have no right to what is bulky"


def test_a_night_that_something_still_runs_in_is_left_alone(results: Path) -> None:
    busy = write(results, 1)
    for day in (2, 3):
        write(results, day)
    (busy / "runners").mkdir()
    write_document(busy / "runners" / "000001.json", Runner.this())
    assert busy not in pruned(results, 1, 1)
    (busy / "runners" / "000001.released").touch()
    assert busy in pruned(results, 1, 1)


def test_only_what_a_night_wrote_is_deleted(results: Path) -> None:
    first = write(results, 1)
    for day in (2, 3):
        write(results, day)
    other = first.parent / "another-sweep"
    other.mkdir()
    by_hand = results / "by-hand" / "nightly"
    by_hand.mkdir(parents=True)
    (by_hand / "night.json").write_bytes((first / "night.json").read_bytes())
    (results / "2029-01-01").symlink_to(first.parent)
    (results / "2029-12-31" / "nightly").mkdir(parents=True)
    prune(prunable(recorded_nights(results, "nightly"), Keep(nights=1, bulky=1), ""))
    assert sorted(path.name for path in results.iterdir()) == [
        "2029-01-01", "2029-12-31", "2030-01-01", "2030-01-03", "by-hand"
    ]  # fmt: skip
    assert list(first.parent.iterdir()) == [other]


def test_the_golden_night_is_known_by_any_path_to_it(results: Path, tmp_path: Path) -> None:
    golden, *_ = (write(results, day) for day in (1, 2, 3))
    (tmp_path / "link").symlink_to(results)
    assert golden not in pruned(results, 1, 1, str(tmp_path / "link" / "2030-01-01" / "nightly"))
    assert golden in pruned(results, 1, 1, "")


def test_what_links_lead_to_outside_a_night_stays(results: Path, tmp_path: Path) -> None:
    old = write(results, 1)
    write(results, 2)
    moved = (
        old / "runs" / "llama-tiny.fsdp.n1.s1.b4.r0",
        old / "runs" / "llama-tiny.fsdp.n1.s1.b4.r1" / "attempts" / "0" / "checkpoint",
    )
    for number, path in enumerate(moved):
        path.rename(tmp_path / str(number))
        path.symlink_to(tmp_path / str(number))
    assert {path.name for path in pruned(results, 10, 1)} == {"model", "traces", "wandb"}
    assert not any(path.is_relative_to(moved[0]) for path in pruned(results, 10, 1))


def test_one_folder_that_cannot_be_deleted_does_not_stop_the_others(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = (write(results, day) for day in (1, 2, 3))
    really = shutil.rmtree

    def stubborn(path: Path) -> None:
        if path.is_relative_to(first):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        really(path)

    monkeypatch.setattr(shutil, "rmtree", stubborn)
    keep = Keep(nights=1, bulky=1)
    problems = prune(prunable(recorded_nights(results, "nightly"), keep, ""))
    assert len(problems) == 1
    assert problems[0].startswith(str(first))
    assert problems[0].endswith("cannot be deleted: Permission denied")
    assert not second.exists()
    monkeypatch.undo()
    assert pruned(results, 1, 1) == [first], "it is still known as a night"
