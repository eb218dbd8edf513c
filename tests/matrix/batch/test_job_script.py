"""Job scripts, compared with golden files: people read them and submit them by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from matrix.batch.script import write_report_script
from matrix.batch.submit import write_jobs
from matrix.config.system import load_system
from matrix.errors import InputError
from matrix.planning.prepare import prepare
from matrix.store.jobs import JobFolder
from matrix.store.sweep_folder import SweepFolder

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden" / "jobs"
NIGHTLY = """\
name: nightly
axes: {model: llama3.1-8b, strategy: [fsdp, hsdp], nodes: [2, 4], batch_size: 1}
strategies: {hsdp: {shard: node}}
limits: {run_seconds: 3600, expected_seconds: 600}
repeats: 3
data: {path: data}
"""
PLAIN = """\
name: plain
scheduler: slurm
device: cpu
nodes: 4
ranks_per_node: 2
slurm: {exclusive: false, warn_seconds: 30, setup: [source /shared/site.sh]}
"""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sweep lies, and from where it is called; its image is any file."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bench.sif").write_bytes(b"an image")
    (tmp_path / "nightly.yaml").write_text(NIGHTLY)
    (tmp_path / "plain.yaml").write_text(PLAIN)
    monkeypatch.setenv("WORK", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/nowhere")  # nothing of Slurm is asked
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def jobs(folder: Path, system: Path) -> list[JobFolder]:
    """The jobs of the sweep, as `run --dry-run` writes them."""
    prepared = prepare(Path("nightly.yaml"), str(system), [], [])
    written = write_jobs(prepared, SweepFolder(Path("results/nightly")), Console(quiet=True), accept_changes=False)
    return [JobFolder(script.parent) for script in written]


def as_golden(script: Path, folder: Path, job: JobFolder | None = None) -> str:
    """Its text without what differs from machine to machine."""
    text = script.read_text().replace(sys.executable, "/PYTHON").replace(str(folder), "/FOLDER")
    return text.replace(job.order().name, "JOBNAME") if job else text


@pytest.mark.parametrize("system", ["leonardo", "plain"])
def test_the_script_of_a_job(workplace: Path, system: str) -> None:
    path = ROOT / "matrix" / "examples" / "leonardo.yaml" if system == "leonardo" else workplace / "plain.yaml"
    job = jobs(workplace, path)[0]
    assert as_golden(job.script, workplace, job) == (GOLDEN / f"{system}.sh").read_text()
    assert job.order().name.startswith("xffl-bench.nightly.1-")
    assert job.script.stat().st_mode & 0o111
    assert subprocess.run(["/bin/bash", "-n", job.script], check=False).returncode == 0


def test_the_script_of_the_report(workplace: Path) -> None:
    script = workplace / "report.sh"
    system = load_system(ROOT / "matrix" / "examples" / "leonardo.yaml")
    write_report_script(script, workplace / "results" / "nightly", system, ["11", "12"])
    assert as_golden(script, workplace) == (GOLDEN / "report.sh").read_text()
    assert subprocess.run(["/bin/bash", "-n", script], check=False).returncode == 0


def test_a_job_finds_the_code_that_submitted_it(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "here::/elsewhere:")  # an empty entry would be the working directory
    assert (
        f"export PYTHONPATH={workplace}/here:/elsewhere\n"
        in jobs(workplace, workplace / "plain.yaml")[0].script.read_text()
    )


def test_a_second_dry_run_writes_the_same_jobs_anew(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeue = workplace / "squeue"  # which is asked whether somebody has submitted them
    squeue.write_text("#!/bin/sh\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(workplace))
    first = [job.path for job in jobs(workplace, workplace / "plain.yaml")]
    assert [job.path for job in jobs(workplace, workplace / "plain.yaml")] == first
    assert [job.order().nodes for job in map(JobFolder, first)] == [2, 2, 2, 4, 4, 4]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("slurm: {partiton: main}", "slurm.partiton: is not a known key (did you mean 'partition'?)"),
        ("slurm: {account: my project}", "slurm.account: 'my project' should be one word, as sbatch expects"),
        ("slurm: {qos: ''}", "slurm.qos: '' should be one word, as sbatch expects"),
        ("slurm: {sbatch: [mail-type=END]}",
         "slurm.sbatch[0]: 'mail-type=END' should be an option of sbatch, for example --mail-type=END"),
        ("slurm: {job_minutes: 0}", "slurm.job_minutes: should be greater than 0, not 0"),
        ("slurm: {poll_seconds: 0}", "slurm.poll_seconds: should be greater than 0, not 0"),
        ("slurm: {modules: cuda}", "slurm.modules: should be a list, not 'cuda'"),
        ("xffl: {hosts: [a, b]}", "xffl.hosts: with scheduler: slurm the hosts are those of the job: remove it"),
    ],
)  # fmt: skip
def test_what_a_system_file_cannot_say_of_slurm(tmp_path: Path, more: str, fault: str) -> None:
    path = tmp_path / "system.yaml"
    path.write_text(f"name: x\nscheduler: slurm\ndevice: cpu\nnodes: 2\nranks_per_node: 2\n{more}\n")
    with pytest.raises(InputError) as caught:
        load_system(path)
    assert str(caught.value) == f"{path}:6: {fault}"


def test_the_block_holds_with_slurm_only(tmp_path: Path) -> None:
    path = tmp_path / "system.yaml"
    path.write_text("name: x\ndevice: cpu\nnodes: 2\nranks_per_node: 2\nslurm: {partition: main}\n")
    with pytest.raises(InputError, match=r":5: slurm: applies only with scheduler: slurm: set that, or remove"):
        load_system(path)
