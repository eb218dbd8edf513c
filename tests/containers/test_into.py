"""A node's way into an image: what is found, bound, carried and refused, and that nothing outlives its launcher."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.contract.run import Run
from bench.contract.storage.files import RunFolder
from bench.host.process import OWNER
from matrix.config.settings.image import BindSettings, ImageSettings
from matrix.config.settings.xffl import XfflSettings
from matrix.config.system import load_system
from matrix.errors import InputError
from matrix.host.processes import owned
from matrix.image.apptainer_command import Bind
from matrix.image.digests import cached_digest
from matrix.image.enter_node import Entry
from matrix.image.image import Image, entry_file, link_target_folders
from matrix.launchers.xffl_scripts import Scripts
from matrix.launchers.xffl_site import find_site
from matrix.store.sweep_record import SweepRecord
from tests.support.runs import make_run
from tests.support.standin.places import STANDINS
from tests.support.sweeps import SmallSweep, kill, wait_for

ROOT = Path(__file__).parents[2]
STANDIN = Path(__file__).parent / "standin" / "apptainer"


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that only the stand-in for Apptainer takes for an image."""
    monkeypatch.setenv("APPTAINERENV_STANDIN", str(Path(sys.executable).parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "an image.sif"
    path.write_text("an image")
    return path


def calls(image: Path) -> list[dict[str, Any]]:
    """What the stand-in was called with."""
    return [json.loads(line) for line in Path(f"{image}.called").read_text().splitlines()]


@pytest.fixture
def entry(tmp_path: Path, image: Path) -> Entry:
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "job 7").mkdir()
    binds = (Bind(folder, writable=True),)
    return Entry(str(image), str(STANDIN), False, str(folder), f"{tmp_path}/job $JOB", binds, {"GIVEN": "$HOME, 'a'"})


def enter(entry: Entry, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Call the module as a launcher does."""
    file = Path(entry.workdir) / "image.json"
    file.write_text(entry.as_json())
    assert Entry.from_json(file.read_text()) == entry
    return subprocess.run(
        [sys.executable, "-P", "-m", "matrix.image.enter_node", str(file), "--", *command],
        env=os.environ | {"JOB": "7", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_gets_the_node_s_variables_the_run_s_and_secrets_that_no_list_of_processes_shows(
    entry: Entry, image: Path, tmp_path: Path
) -> None:
    program = "import json, os, sys; print(json.dumps([dict(os.environ), os.getcwd(), sys.argv])); sys.exit(7)"
    node = {"RANK": "3", "SLURM_PROCID": "3", "SLURMD_NODENAME": "n1", OWNER: "ab/1", "HF_TOKEN": "se$cret", "X": "y"}
    done = enter(entry, "python", "-c", program, "--", "a b", **node)
    assert done.returncode == 7, done.stderr
    found, folder, words = json.loads(done.stdout)
    assert folder == entry.workdir
    assert words == ["-c", "--", "a b"]
    assert "X" not in found
    assert {name: found[name] for name in ("RANK", "SLURM_PROCID", "SLURMD_NODENAME", OWNER, "GIVEN")} == {
        "RANK": "3",
        "SLURM_PROCID": "3",
        "SLURMD_NODENAME": "n1",
        OWNER: "ab/1",
        "GIVEN": "$HOME, 'a'",
    }
    own = tmp_path / "job 7" / f"xffl-bench-{os.getuid()}"
    assert found["TMPDIR"] == str(own)
    assert own.stat().st_mode & 0o777 == 0o700
    (call,) = calls(image)
    assert f"type=bind,src={own},dst={own}" in call["words"]
    assert call["environment"]["APPTAINERENV_HF_TOKEN"] == r"se\$cret"
    assert not any("cret" in word for word in call["words"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "/nowhere/a.sif"}, "/nowhere/a.sif does not exist, and ranks in the image need it"),
        ({"binds": (Bind(Path("/nowhere/data")),)}, "/nowhere/data does not exist, and ranks in the image need it"),
        ({"scratch": "/tmp/$NO_JOB/x"}, "image.scratch: /tmp/$NO_JOB/x: $NO_JOB is not set here"),
        ({"scratch": "/nowhere/x"}, "image.scratch: the folder /nowhere/x does not exist: create it, or give another"),
        ({"scratch": "x"}, "image.scratch: x: should be an absolute path"),
        ({"program": "/nowhere/apptainer"}, "image.program /nowhere/apptainer: program not found"),
    ],
)
def test_what_a_node_lacks_is_one_sentence(entry: Entry, change: dict[str, Any], said: str) -> None:
    done = enter(Entry(**(vars(entry) | change)), "true")
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_scratch_folder_that_somebody_else_has_made_is_refused(entry: Entry, tmp_path: Path) -> None:
    (tmp_path / "link_target_folders").mkdir()
    (tmp_path / "job 7" / f"xffl-bench-{os.getuid()}").symlink_to(tmp_path / "link_target_folders")
    done = enter(entry, "true")
    assert done.returncode == 1
    assert "belongs to another user" in done.stderr


def test_it_starts_without_what_takes_time() -> None:
    slow = "{'torch', 'pandas', 'pydantic', 'numpy'}"
    program = f"import sys, matrix.image.enter_node; print(*{slow}.intersection(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_a_command_ends_with_what_started_apptainer_however_that_ends(entry: Entry, tmp_path: Path) -> None:
    file = Path(entry.workdir) / "image.json"
    file.write_text(entry.as_json())
    inside = (
        "import os, time; from bench.host.process import end_with; end_with(os.getppid()); print('up'); time.sleep(300)"
    )
    words = [sys.executable, "-P", "-m", "matrix.image.enter_node", str(file), "--", "env", f"PYTHONPATH={ROOT}"]
    command = shlex.join([*words, "python", "-u", "-c", inside])
    environment = os.environ | {OWNER: "abc/1", "JOB": "7"}
    runner = subprocess.Popen(["sh", "-c", f"{command} & wait"], env=environment, stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    assert runner.stdout.readline() == "up\n"
    assert len(dict(owned("abc/1"))) == 4, "the shell, the guard, the stand-in and the command"
    kill(runner.pid)
    assert wait_for(lambda: not dict(owned("abc/1")), timeout=20), dict(owned("abc/1"))
    assert runner.wait() == -9


def test_paths_of_a_system_file_begin_at_its_folder_and_scratch_is_the_node_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITE", "lab")
    block = "{path: ../$SITE.sif, scratch: /s/$USER, binds: [~/a, {path: b, at: /b, writable: true}], code: c}"
    path = tmp_path / "system.yaml"
    path.write_text(f"{{name: x, device: cpu, nodes: 1, ranks_per_node: 1, image: {block}}}")
    system = load_system(path)
    assert system.image == ImageSettings(
        path=f"{tmp_path.parent}/lab.sif",
        scratch="/s/$USER",
        binds=[
            BindSettings(path=str(Path.home() / "a")),
            BindSettings(path=f"{tmp_path}/b", at="/b", writable=True),
        ],
        code=f"{tmp_path}/c",
    )
    assert not system.is_warm


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("{pth: a}", "image: the key 'path' is missing"),
        ("{path: a, binds: [{path: b, at: c}]}", "image.binds[0].at: should be an absolute path, not 'c'"),
        ("{path: a}, start: warm", "start: warm forks ranks from a process outside the image"),
    ],
)
def test_a_block_that_is_wrong(tmp_path: Path, image: str, said: str) -> None:
    path = tmp_path / "system.yaml"
    path.write_text(f"{{name: x, device: cpu, nodes: 1, ranks_per_node: 1, image: {image}}}")
    with pytest.raises(InputError, match=r"system\.yaml:1") as caught:
        load_system(path)
    assert said in str(caught.value)


def test_what_is_not_there(tmp_path: Path, image: Path) -> None:
    with pytest.raises(InputError, match=r"image\.path: .*none\.sif does not exist"):
        Image(ImageSettings(path=str(tmp_path / "none.sif")))
    with pytest.raises(InputError, match=r"image\.code: .* is not a checkout"):
        Image(ImageSettings(path=str(image), code=str(tmp_path)))


def asked_for(tmp_path: Path, **changes: object) -> tuple[Run, RunFolder]:
    (tmp_path / "r").mkdir()
    return make_run(tmp_path / "data", (1, 1, 2)).model_copy(update=changes), RunFolder(tmp_path / "r")


def test_a_run_sees_its_own_folder_what_it_reads_and_where_links_in_that_lead(tmp_path: Path, image: Path) -> None:
    blobs, weights = tmp_path / "hub" / "blobs", tmp_path / "hub" / "snapshots" / "a"
    for folder in (blobs, weights, tmp_path / "data"):
        folder.mkdir(parents=True)
    (blobs / "1").touch()
    (weights / "model.safetensors").symlink_to("../../blobs/1")
    assert link_target_folders(weights) == [blobs]
    run, folder = asked_for(tmp_path, weights=str(weights))
    settings = ImageSettings(path=str(image), code=str(ROOT), binds=[str(tmp_path / "data")])
    words = Image(settings.from_folder(tmp_path)).write_entry(run, folder)
    assert words == [sys.executable, "-P", "-m", "matrix.image.enter_node", str(entry_file(folder)), "--"]
    entry = Entry.from_json(entry_file(folder).read_text())
    assert entry.workdir == str(folder.path)
    assert {(bind.path, bind.writable) for bind in entry.binds} == {
        (folder.path, True),
        (tmp_path / "data", False),
        (weights, False),
        (blobs, False),
        (ROOT, False),
    }
    assert entry.environment["PYTHONPATH"] == str(ROOT)
    commit, _, root = entry.environment["XFFL_BENCH_COMMIT"].split(" ", maxsplit=2)
    assert (len(commit), root) == (40, str(ROOT))
    assert entry.environment["PYTHONSAFEPATH"] == "1"
    assert entry.environment["XFFL_BENCH_IMAGE"] == cached_digest(image)
    assert entry.environment["OMP_NUM_THREADS"] == str(run.system.threads_per_rank)


def test_xffl_starts_each_rank_inside_in_sweeps_and_by_hand(tmp_path: Path, image: Path) -> None:
    run, folder = asked_for(tmp_path)
    attempt = folder.attempt(0)
    attempt.create()
    site = find_site(XfflSettings(command=str(STANDINS / "xffl")))
    Scripts(run, folder, attempt, site, Image(ImageSettings(path=str(image)))).write("ab/1-xffl", 29500, {})
    called = (
        f'{shlex.join([str(site.python), "-P", "-m", "matrix.image.enter_node", str(entry_file(folder)), "--"])} "$@"'
    )
    assert f"    {called} || status=$?\n" in (folder.path / "facility.sh").read_text()
    assert Entry.from_json(entry_file(folder).read_text()).image == str(image)


def test_an_image_is_read_once_as_long_as_it_is_the_same(image: Path) -> None:
    first, found = cached_digest(image), image.stat()
    image.write_text("no image")
    os.utime(image, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert cached_digest(image) == first, "same size and time: not read again"
    os.utime(image, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    assert cached_digest(image) != first


def test_a_record_tells_images_apart() -> None:
    one, other, none = (SweepRecord.now("a", "", "", "", {}, image) for image in ("1" * 64, "2" * 64, None))
    assert one.changes(one) == []
    assert one.changes(other) == [f"the image: {'1' * 12} -> {'2' * 12}"]
    assert none.changes(one) == [f"the image: none -> {'1' * 12}"]


@pytest.mark.soak  # with a real image: make cluster-test
def test_a_sweep_s_agents_start_inside_and_another_image_is_refused(tmp_path: Path, data: Path, image: Path) -> None:
    block = {"path": str(image), "program": str(STANDIN), "scratch": str(tmp_path), "code": str(ROOT)}
    sweep = SmallSweep(tmp_path, data, start="auto", nodes=2, ranks_per_node=1, system={"image": block})
    sweep.write(["fsdp"])
    sweep.run()
    (result,) = sweep.found().values()
    assert result.measured
    assert result.measured.provenance.image == cached_digest(image)
    assert [call["words"][0] for call in calls(image)] == ["exec", "exec"]
    sweep.assert_nothing_left()
    before = cached_digest(image)
    image.write_text("another image")
    said = sweep.run(expect=2)
    assert f"the image: {before[:12]} -> {cached_digest(image)[:12]}" in said
