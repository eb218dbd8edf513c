"""Nights from their settings to their end: what is compared, told, recorded, accepted and refused."""

from __future__ import annotations

import os
import resource
import select
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

import reports
from bench.contract.results.outcomes import Outcome
from bench.contract.storage.files import write_document
from matrix.cli.app import app
from matrix.errors import InputError
from matrix.nightly.nightly_file import Keep, NightlyFile
from matrix.nightly.record import NightRecord, NightStatus, night_of
from matrix.nightly.tell import tell
from matrix.planning.prepare import prepare
from matrix.store.sweep_folder import SweepFolder
from tests.support.documents import SweepDocuments, a_breakdown, a_measurement, a_result
from tests.support.nights import Nights
from tests.support.sweeps import SmallSweep, everything_in

PAGE = (Path(__file__).parents[3] / "docs" / "guides" / "nights.md").read_text(encoding="utf-8")


class Place:
    """A folder with a nightly file, and nights made by hand."""

    def __init__(self, folder: Path, matrix: str) -> None:
        self.folder = folder
        self.config = folder / "night.yaml"
        self.nights = Nights(folder / "results", repeats=4)
        (folder / "sweep.yaml").write_text(matrix.replace("name: small", "name: nightly"))
        self.configure()

    def configure(self, **keys: object) -> None:
        self.config.write_text(yaml.safe_dump({"matrix": "sweep.yaml", **keys}))

    def call(self, *words: str, expect: int = 0) -> None:
        with pytest.raises(SystemExit) as ended:
            app(["nightly", str(self.config), *words], prog_name="xffl-bench")
        assert (ended.value.code or 0) == expect

    def look(self, day: int, expect: int = 0) -> None:
        """Judge a night that has run."""
        self.call("--no-run", "--night", f"2030-01-{day:02d}", expect=expect)

    def sweep(self, day: int) -> Path:
        return self.folder / "results" / f"2030-01-{day:02d}" / "nightly"

    def write(self, day: int, slower: float = 1.0) -> Path:
        return self.nights.write(f"2030-01-{day:02d}", slower={"hsdp": slower})

    def record(self, day: int) -> NightRecord:
        return NightRecord.model_validate_json((self.sweep(day) / "night.json").read_text())


@pytest.fixture
def place(tmp_path: Path, small: str) -> Place:
    return Place(tmp_path, small)


def test_a_night_is_compared_with_the_last_good_one(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for day, slower in ((1, 1.0), (2, 1.0), (3, 1.1), (4, 1.1)):
        place.write(day, slower)
    place.look(1)
    assert "nothing to compare with yet" in capsys.readouterr().out
    place.look(2)
    place.look(3, expect=1)
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("the full report: ")
    assert len(said.splitlines()) <= 24, "one screen"
    place.look(4, expect=1)
    assert [place.record(day).status for day in (1, 2, 3, 4)] == [
        NightStatus.GOOD, NightStatus.GOOD, NightStatus.REGRESSED, NightStatus.REGRESSED
    ]  # fmt: skip
    assert [place.record(day).compared_with for day in (2, 3, 4)] == [
        str(place.sweep(1)), str(place.sweep(2)), str(place.sweep(2))
    ]  # fmt: skip
    assert any(line.startswith("  regressed: hsdp, nodes 2: tokens/s x 0.9") for line in place.record(4).summary)
    assert (place.sweep(3) / "report" / "report.md").exists()


def test_an_accepted_night_is_what_later_ones_are_compared_with(place: Place) -> None:
    place.write(1)
    place.write(2, 1.1)
    place.write(3, 1.1)
    place.look(1)
    place.look(2, expect=1)
    place.call("--accept", "--night", "2030-01-02")
    place.look(3)
    assert place.record(3).compared_with == str(place.sweep(2))
    place.look(2)
    assert place.record(2).accepted, "looking again does not take it back"
    with pytest.raises(InputError, match="there is no night 2030-01-09 of nightly"):
        app(["nightly", str(place.config), "--accept", "--night", "2030-01-09"], standalone_mode=False)


def test_golden_values_hold_where_nights_drift(place: Place) -> None:
    place.write(1)
    place.look(1)
    with pytest.raises(SystemExit):
        app(["compare", str(place.sweep(1)), "--accept", str(place.folder / "golden.yaml")])
    place.configure(golden="golden.yaml", tolerance={"tokens_per_s": 6})
    place.write(2, 1.04)
    place.look(2, expect=1)
    compared = [line for line in place.record(2).summary if " compared with " in line]
    assert len(compared) == 2
    assert "regressed" not in compared[0]
    assert "1 regressed" in compared[1]


def test_a_night_whose_runs_failed_or_are_missing_is_incomplete(place: Place) -> None:
    place.write(1)
    results = sorted(place.sweep(1).glob("runs/*/result.json"))
    results[0].unlink()
    place.look(1, expect=1)
    assert place.record(1).status is NightStatus.INCOMPLETE
    place.write(2)
    place.look(2)
    assert place.record(2).compared_with is None


def test_the_summary_goes_to_a_command(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    told = place.folder / "told"
    command = f'cat > {told}; echo "$XFFL_BENCH_NIGHT_STATUS $XFFL_BENCH_NIGHT" >> {told}'
    place.configure(tell=command)
    place.write(1)
    place.look(1)
    assert told.read_text().splitlines() == [*place.record(1).summary, f"good {place.sweep(1)}"]
    told.unlink()
    place.configure(tell=command, tell_when="bad")
    place.look(1)
    assert not told.exists()
    place.configure(tell="exit 7")
    place.look(1, expect=1)
    assert "tell: the command ended with status 7" in capfd.readouterr().err


def test_a_night_that_cannot_start_is_told_of_too(place: Place) -> None:
    told = place.folder / "told"
    place.configure(tell=f"cat > {told}", tell_when="bad")
    with pytest.raises(InputError, match="does not exist"):
        app(["nightly", str(place.config), "--night", "2030-01-01"], standalone_mode=False)
    assert told.read_text().splitlines()[0] == "2030-01-01: incomplete"
    assert "data.path: the folder" in told.read_text()


def test_a_dry_run_says_what_would_happen_and_changes_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for day in (1, 2, 3):
        place.write(day)
        place.look(day)
    place.configure(keep={"nights": 1})
    before = everything_in(place.folder)
    capsys.readouterr()
    place.call("--dry-run", "--night", "2030-01-04")
    assert capsys.readouterr().out.splitlines() == [
        f"would run 4 runs in {place.sweep(4)}",
        f"would compare with {place.sweep(3)}",
        f"would delete {place.sweep(1)} (older than 1 night)",
        f"would delete {place.sweep(2)} (older than 1 night)",
    ]
    assert everything_in(place.folder) == before


def test_a_dry_run_counts_what_is_left_to_run(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    planned = prepare(place.folder / "sweep.yaml", None, [], []).selected
    for run, outcome in zip(planned, (Outcome.OOM, Outcome.INTERRUPTED), strict=False):
        kept = SweepFolder(place.sweep(4)).run(run)
        kept.path.mkdir(parents=True)
        write_document(kept.result, a_result(run, a_measurement(1.0, 1)).model_copy(update={"outcome": outcome}))
    place.call("--dry-run", "--night", "2030-01-04")
    assert capsys.readouterr().out.startswith(f"would run 3 runs in {place.sweep(4)}\n")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"keeps": {}}, "night.yaml:1: keeps: is not a known key (did you mean 'keep'?)"),
        ({"keep": {"nights": 0}}, "keep.nights: should be greater than 0, not 0"),
        ({"keep": {"bulky": 0}}, "keep.bulky: should be greater than 0, not 0"),
        ({"tolerance": {"speed": 2.0}}, "tolerance.speed: is not a metric"),
        ({"tolerance": {"tokens_per_s": -2.0}}, "should be a percentage from 0 to 100, not -2"),
        ({"golden": "none.yaml"}, "golden: "),
        ({"matrix": "none.yaml"}, "none.yaml: cannot be read"),
        ({"tell_when": "never"}, "tell_when: should be 'always' or 'bad'"),
    ],
    ids=str,
)
def test_bad_settings_are_a_sentence(place: Place, keys: dict[str, object], said: str) -> None:
    place.configure(**keys)
    with pytest.raises(InputError) as raised:
        app(["nightly", str(place.config)], standalone_mode=False)
    assert said in str(raised.value)
    assert not (place.folder / "results").exists()


def test_a_night_that_is_judged_late_deletes_neither_itself_nor_later_ones(place: Place) -> None:
    for day in (1, 2, 3, 4):
        place.write(day)
        if day != 2:
            place.look(day)
    place.configure(keep={"nights": 1})
    place.look(2)
    assert [place.sweep(day).exists() for day in (1, 2, 3, 4)] == [False, True, True, True]
    assert place.record(2).status is NightStatus.GOOD


def test_a_night_on_a_full_disk_is_told_of_and_makes_room(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for day in (1, 2, 3):
        place.write(day)
    place.look(1)
    place.look(2)
    place.configure(keep={"nights": 1}, tell=f"mkdir {place.folder}/told-$XFFL_BENCH_NIGHT_STATUS", tell_when="bad")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # no file can be written, but folders can
    try:
        place.look(3, expect=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written: File too large" in capsys.readouterr().err
    assert (place.folder / "told-incomplete").exists()
    assert not (place.sweep(3) / "night.json").exists()
    assert not place.sweep(1).exists()


def test_a_comparison_that_compares_nothing_is_no_good_night(place: Place) -> None:
    place.write(1)
    place.look(1)
    place.nights.write("2030-01-02", training={"precision": "bf16"})
    place.look(2, expect=1)
    made = SweepDocuments(place.sweep(3), nodes=(4,), repeats=3)
    made.run("fsdp", 4, speeds=[100.0] * 3)
    made.write()
    place.look(3, expect=1)
    for day in (2, 3):
        assert place.record(day).status is NightStatus.INCOMPLETE
        assert any(line.startswith("nothing can be compared with ") for line in place.record(day).summary)
    place.call("--accept", "--night", "2030-01-03")
    assert place.record(3).is_good, "if it is meant"


def test_a_breakdown_run_that_crashed_makes_a_night_incomplete(place: Place) -> None:
    for day in (1, 2):
        made = SweepDocuments(place.sweep(day), nodes=(1,), repeats=3)
        made.run("fsdp", 1, speeds=[100.0] * 3, breakdowns=[a_breakdown(1.0)])
        (apart,) = made.cells[0].breakdown_runs
        if day == 2:
            made.end(apart, Outcome.CRASHED, "rank 0: KeyError")
        made.write()
        place.look(day, expect=day - 1)
    assert place.record(2).status is NightStatus.INCOMPLETE


@pytest.mark.parametrize("other", ["--dry-run", "--no-run"])
def test_accept_stands_alone(place: Place, other: str) -> None:
    place.write(1)
    place.look(1)
    with pytest.raises(InputError, match=f"leave {other} out"):
        app(["nightly", str(place.config), "--accept", other, "--night", "2030-01-01"], standalone_mode=False)
    assert not place.record(1).accepted


@pytest.mark.parametrize("text", ["2030-13-45", "2030-02-30", "20300101", "2030-W01-1"])
def test_a_day_that_does_not_exist_is_no_night(place: Place, text: str) -> None:
    with pytest.raises(InputError, match=f"--night {text}: should be a date"):
        app(["nightly", str(place.config), "--no-run", "--night", text], standalone_mode=False)


def test_a_night_that_has_not_begun_cannot_be_looked_at(place: Place) -> None:
    with pytest.raises(InputError, match=r"--no-run: .*2030-01-01.* is not the folder of a sweep"):
        app(["nightly", str(place.config), "--no-run", "--night", "2030-01-01"], standalone_mode=False)


def test_a_command_that_takes_too_long_ends_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.nightly.tell.PATIENCE", 1.0)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        said = tell(f"sleep 45 > {pipe}; true", NightStatus.GOOD, tmp_path, ["all is well"])
        assert said == "tell: the command did not end within 1 s"
        assert select.select([reader], [], [], 20)[0], "nobody has the pipe open any longer"
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


@pytest.mark.parametrize("kind", [NightlyFile, Keep])
def test_every_key_is_documented(kind: type[BaseModel]) -> None:
    rows = "\n".join(f"| `{name}` | {field.description} |" for name, field in kind.model_fields.items())
    assert rows in PAGE


def test_a_night_has_one_date_before_and_after_midnight() -> None:
    assert night_of(datetime(2030, 1, 2, 22)) == night_of(datetime(2030, 1, 3, 4)) == "2030-01-02"


@pytest.mark.soak
def test_two_real_nights(tmp_path: Path, data: Path) -> None:
    made = SmallSweep(tmp_path, data)
    made.write(repeats=3)
    config = tmp_path / "night.yaml"
    # Two cores of a busy machine are noisy: what is tested is that the figures of real nights are compared.
    tolerance = {"tokens_per_s": 90.0, "peak_memory_gib": 90.0}
    config.write_text(yaml.safe_dump({"matrix": "sweep.yaml", "results": "nights", "tolerance": tolerance}))
    for day in (1, 2):
        said = made.call("nightly", str(config), "--night", f"2030-01-0{day}")
    assert "2030-01-02: good" in said
    record = NightRecord.model_validate_json((tmp_path / "nights/2030-01-02/small/night.json").read_text())
    assert record.compared_with == str(tmp_path / "nights/2030-01-01/small")
    found = reports.compare(record.compared_with, tmp_path / "nights/2030-01-02/small")
    assert len(found) == 6
    losses = found.query("metric == 'loss_validation'")
    assert set(losses["verdict"]) == {"same"}
    assert list(losses["ratio"]) == [1.0, 1.0], "the same seeds on the same machine"
    assert "not repeated, since a result exists: 6 runs" in made.call("nightly", str(config), "--night", "2030-01-02")
