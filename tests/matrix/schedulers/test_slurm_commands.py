"""What Slurm's commands print, read by stand-ins that print it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from matrix.config.system import SystemFile
from matrix.errors import InputError, NoAnswerError, SchedulerError
from matrix.schedulers.base import JobRequest, JobStatus
from matrix.schedulers.slurm import commands
from matrix.schedulers.slurm.commands import look
from matrix.schedulers.slurm.header import options
from matrix.schedulers.slurm.scheduler import SlurmScheduler
from matrix.schedulers.slurm.states import in_log, out_of_memory_line, will_not_start
from matrix.schedulers.states import ENDS, meaning

CLUSTER = SystemFile.model_validate(
    {"name": "cluster", "device": "cpu", "nodes": 2, "ranks_per_node": 1, "threads_per_rank": 1, "scheduler": "slurm"}
)


class PutProgram(Protocol):
    """Puts a program into PATH that prints a text and ends with a status."""

    def __call__(self, name: str, prints: str, status: int = 0, errors: str = "") -> None: ...


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PutProgram:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def put(name: str, prints: str, status: int = 0, errors: str = "") -> None:
        path = tmp_path / name
        shown = f"cat <<'END'\n{prints}\nEND\n" if prints else ""
        path.write_text(f"#!/bin/sh\n{shown}echo '{errors}' >&2\nexit {status}\n")
        path.chmod(0o755)

    return put


@pytest.mark.parametrize(
    ("elapsed", "seconds"),
    [("0:00", 0), ("3:04", 184), ("02:03:04", 7384), ("1-02:03:04", 93_784), ("2-00:00:00", 172_800), ("INVALID", 0)],
)
def test_how_long_a_job_has_run(program: PutProgram, elapsed: str, seconds: int) -> None:
    program("squeue", f"7|RUNNING|{elapsed}|node[0-3]|None")
    assert look(["7"]) == {"7": JobStatus("RUNNING", "None", seconds, "node[0-3]")}


def test_jobs_that_are_not_asked_for_are_left_out_and_a_reason_may_hold_anything(program: PutProgram) -> None:
    program("squeue", "7|PENDING|0:00||(Nodes required | are DOWN)\n8|RUNNING|1:00|node0|None")
    program("sacct", "")
    assert look(["7", "9"]) == {"7": JobStatus("PENDING", "(Nodes required | are DOWN)", 0, "")}


def test_what_squeue_has_forgotten_is_in_the_accounts(program: PutProgram) -> None:
    program("squeue", "")
    program("sacct", "7|CANCELLED by 1000|12|node0|0:0\n8|TIMEOUT|3600|node[0-1]|0:15")
    assert look(["7", "8"]) == {
        "7": JobStatus("CANCELLED", "", 12, "node0"),
        "8": JobStatus("TIMEOUT", "", 3600, "node[0-1]"),
    }


def test_a_job_that_failed_by_itself_and_one_that_was_killed(program: PutProgram) -> None:
    program("squeue", "7|FAILED|0:12|node0|NonZeroExitCode\n8|FAILED|0:12|node0|JobLaunchFailure")
    program("sacct", "9|FAILED|12|node0|3:0\n10|FAILED|12|node0|0:9")
    assert {job: seen.state for job, seen in look(["7", "8", "9", "10"]).items()} == {
        "7": "FAILED", "8": "KILLED", "9": "FAILED", "10": "KILLED"
    }  # fmt: skip


def test_a_cluster_without_accounts_has_forgotten_it(program: PutProgram) -> None:
    program("squeue", "")
    program("sacct", "", status=1, errors="Slurm accounting storage is disabled")
    assert look(["7"]) == {}


def test_no_answer_is_no_forgotten_job(program: PutProgram) -> None:
    program("squeue", "", status=1, errors="slurm_load_jobs error: Unable to contact slurm controller")
    with pytest.raises(SchedulerError, match="Unable to contact slurm controller"):
        look(["7"])


def test_what_sbatch_refuses_is_told_not_where_help_is(program: PutProgram, tmp_path: Path) -> None:
    errors = 'sbatch: unrecognized option --foo\nTry "sbatch --help" for more information'
    program("sbatch", "", status=1, errors=errors)
    with pytest.raises(SchedulerError, match=r"^sbatch: unrecognized option --foo$"):
        commands.submit(tmp_path / "job.sh")


def test_sbatch_that_does_not_say_whether_it_has_a_job(program: PutProgram, tmp_path: Path) -> None:
    program("sbatch", "", status=1, errors="sbatch: error: Batch job submission failed: Socket timed out on send/recv")
    with pytest.raises(NoAnswerError, match="timed out"):
        commands.submit(tmp_path / "job.sh")
    program("sbatch", "", status=1, errors="sbatch: error: invalid partition specified: nowhere")
    with pytest.raises(SchedulerError, match="invalid partition") as refused:
        commands.submit(tmp_path / "job.sh")
    assert not isinstance(refused.value, NoAnswerError)


@pytest.fixture
def seen_by(program: PutProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """A caller whose shell sets what decides over Slurm's commands; returns what a command gets of it."""
    for name in ("SQUEUE_PARTITION", "SBATCH_PARTITION", "SBATCH_TIMELIMIT", "SBATCH_ACCOUNT", "SLURM_CLUSTERS",
                 "SRUN_CPUS_PER_TASK", "SLURM_HINT", "SLURM_JOB_ID", "SLURM_CONF", "SLURM_TIME_FORMAT"):  # fmt: skip
        monkeypatch.setenv(name, "mine")

    def run(command: str) -> dict[str, str]:
        program(command, "")
        (tmp_path / command).write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\necho 7\n")
        commands.submit(tmp_path / "job.sh") if command == "sbatch" else commands.named("a job")
        lines = (tmp_path / "seen").read_text(encoding="utf-8").splitlines()
        variables = dict(line.partition("=")[::2] for line in lines)
        return {name: value for name, value in variables.items() if name.startswith(("S", "SQ")) and value != "/bin/sh"}

    return run


def test_a_persons_own_way_of_listing_jobs_hides_none(seen_by: Callable[[str], dict[str, str]]) -> None:
    seen = seen_by("squeue")
    assert seen["SLURM_TIME_FORMAT"] == "standard"
    assert seen["SLURM_CONF"] == "mine"
    assert not {"SQUEUE_PARTITION", "SLURM_CLUSTERS"} & seen.keys()


def test_the_system_file_decides_over_a_submission_and_not_the_callers_shell(
    seen_by: Callable[[str], dict[str, str]],
) -> None:
    """A site may say whom to charge, and where Slurm's own configuration is."""
    seen = {name: value for name, value in seen_by("sbatch").items() if name.startswith(("SBATCH", "SLURM", "SRUN"))}
    assert seen == {"SBATCH_ACCOUNT": "mine", "SLURM_CONF": "mine", "SLURM_TIME_FORMAT": "standard"}
    assert commands.ignored(os.environ) == ["SBATCH_PARTITION", "SBATCH_TIMELIMIT", "SLURM_CLUSTERS", "SLURM_JOB_ID"]


@pytest.mark.parametrize(
    ("prints", "job"),
    [
        ("4711", "4711"),
        ("4711;leonardo", "4711;leonardo"),
        ("----------\n  Welcome to the Example Supercomputer\n----------\n--> Verifying access...OK\n4711", "4711"),
        ("  12 nodes are idle\n4711\n\n", "4711"),
        ("", None),
        ("Submitted batch job 4711", None),  # not what --parsable prints
        ("sbatch: job 4711 is held", None),
    ],
)
def test_a_jobs_id_is_found_in_what_sbatch_prints(
    program: PutProgram, tmp_path: Path, prints: str, job: str | None
) -> None:
    """Without one the job may be in the queue all the same, and is looked up by its name."""
    program("sbatch", prints)
    if job is not None:
        assert commands.submit(tmp_path / "job.sh") == job
        return
    with pytest.raises(NoAnswerError, match="sbatch printed no job id: "):
        commands.submit(tmp_path / "job.sh")


def test_listings_with_a_banner_and_other_lines(program: PutProgram) -> None:
    program("squeue", "CLUSTER: main\n** maintenance on Friday **\n7|RUNNING|1:00|node0|None\n8_3|PENDING|0:00||x")
    program("sacct", "")
    assert look(["7"]) == {"7": JobStatus("RUNNING", "None", 60, "node0")}
    with pytest.raises(SchedulerError, match=r"squeue printed something else than jobs: .*maintenance on Friday"):
        look(["7", "9"])
    program("squeue", "Hello\n7\n12 x\n8\n")
    assert commands.named("a job") == ["7", "8"]
    program("scontrol", "Hello, user\nnode0\n-oProxyCommand=x\nnode1\n")
    assert commands.host_names("node[0-1]") == ["node0", "node1"]


def test_a_terminal_that_outlived_its_allocation(program: PutProgram) -> None:
    """The variable is named; an ended job is listed by no state in which it holds nodes."""
    scheduler = SlurmScheduler()
    environment = {"SLURM_JOB_ID": "999", "SLURM_JOB_NODELIST": "node1"}
    program("squeue", "", status=1, errors="slurm_load_jobs error: Invalid job id specified")
    with pytest.raises(InputError, match=r"SLURM_JOB_ID: job 999 is not running: unset SLURM_JOB_ID"):
        scheduler.held(environment)
    program("squeue", "")
    with pytest.raises(InputError, match=r"SLURM_JOB_ID: job 999 is not running"):
        scheduler.held(environment)
    program("squeue", "", status=1, errors="Unable to contact slurm controller")
    with pytest.raises(SchedulerError, match="Unable to contact"):
        scheduler.held(environment)
    assert scheduler.held({}) is None


def test_the_path_of_a_log_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "100%j of it"
    request = JobRequest("a job", None, 5, folder / "%j.log")
    (log,) = [each for each in options(request, CLUSTER) if each.startswith("--output=")]
    assert log == f"--output='{tmp_path}/100%%j of it/%j.log'"
    with pytest.raises(InputError, match="backslash"):
        options(JobRequest("a job", None, 5, tmp_path / "a\\b" / "%j.log"), CLUSTER)


def test_a_cluster_without_its_commands_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SchedulerError, match=r"^sbatch: No such file or directory$"):
        commands.submit(tmp_path / "job.sh")


def test_the_lowest_switch_over_each_host(program: PutProgram, tmp_path: Path) -> None:
    program("scontrol", "")
    (tmp_path / "scontrol").write_text("""#!/bin/sh
case "$2" in
topology)
    echo 'SwitchName=s0 Level=0 LinkSpeed=1 Nodes=node[0-1]'
    echo 'SwitchName=root Level=1 LinkSpeed=1 Nodes=node[0-3] Switches=s[0-1]' ;;
hostnames) printf 'node0\\nnode1\\n' ;;
esac
""")
    assert commands.switches(["node1", "node2"]) == {"node1": "s0"}
    program("scontrol", "", status=1, errors="slurm_load_topo error: Unspecified error")
    assert commands.switches(["node1"]) == {}


def test_states_that_a_job_does_not_come_back_from() -> None:
    assert meaning("RUNNING") is meaning("COMPLETING") is meaning("PENDING") is meaning("REQUEUED") is None
    assert not ENDS["CANCELLED"].again
    assert all(end.again for state, end in ENDS.items() if state != "CANCELLED")
    assert {state for state, end in ENDS.items() if not end.counts} == {
        "COMPLETED", "FAILED", "BOOT_FAIL", "PREEMPTED", "DEADLINE", "REVOKED", "CANCELLED"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "never"),
    [
        ("Priority", False),
        ("Resources", False),
        ("None", False),
        ("BeginTime", False),
        ("Dependency", False),
        ("PartitionTimeLimit", True),
        ("ReqNodeNotAvail, UnavailableNodes:node0", True),
        ("ReqNodeNotAvail, UnavailableNodes:node[0-3,7], May be reserved for other job", True),
        ("ReqNodeNotAvail", False),
        ("ReqNodeNotAvail, May be reserved for other job", False),
        ("ReqNodeNotAvail, Reserved for maintenance", False),
        ("AssocGrpNodeLimit", False),  # of the jobs that run
        ("AssocGrpCpuLimit", False),
        ("AssocGrpBillingMinutes", True),  # a budget
        ("AssocGrpCPUMinutesLimit", True),
        ("AssocGrpCPURunMinutesLimit", False),
        ("AssocGrpBillingRunMinutes", False),
        ("QOSGrpBillingMinutes", True),
        ("QOSGrpWallLimit", True),
        ("QOSGrpNodeLimit", False),
        ("QOSMaxNodePerJobLimit", True),
        ("QOSMaxGRESPerJob", True),
        ("QOSMaxMemoryPerNode", True),
        ("QOSMaxCpuMinutesPerJobLimit", True),
        ("AssocMaxWallDurationPerJobLimit", True),
        ("QOSMaxJobsPerUserLimit", False),
        ("QOSMaxGRESPerUser", False),
        ("MaxCpuPerAccount", False),
        ("QOSMinGRES", True),
        ("JobHeldUser", True),
        ("JobHoldMaxRequeue", True),
        ("launch failed requeued held", True),
        ("job requeued in held state", True),
        ("Reservation", False),
        ("ReservationDeleted", True),
    ],
)
def test_reasons_that_do_not_pass_by_themselves(reason: str, never: bool) -> None:
    assert will_not_start(reason) is never


@pytest.mark.parametrize(
    ("written", "state"),
    [
        ("CANCELLED AT 2026-11-25T03:00:00 DUE TO TIME LIMIT ***", "TIMEOUT"),
        ("CANCELLED AT 2026-11-25T03:00:00 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***", "NODE_FAIL"),
        ("CANCELLED AT 2026-11-25T03:00:00 DUE TO PREEMPTION ***", "PREEMPTED"),
        ("CANCELLED AT 2026-11-25T03:00:00 ***", "CANCELLED"),
        ("CANCELLED AT 2026-11-25T03:00:00 DUE TO JOB REQUEUE ***", "REQUEUED"),
        ("CANCELLED AT 2026-11-25T03:00:00 DUE TO SOMETHING NEW ***", None),
    ],
)
def test_why_a_job_ended_as_its_log_says(written: str, state: str | None) -> None:
    before = "slurmstepd-node0: error: *** JOB 7 ON node0 CANCELLED AT 2026-11-24T03:00:00 DUE TO PREEMPTION ***\n"
    assert in_log(f"{before}job 7: 2 runs\nslurmstepd: error: *** JOB 7 ON node0 {written}\n") == state
    assert in_log("job 7: 2 runs on node0, 6 minutes left\n") is None


@pytest.mark.parametrize(
    "line",
    [
        "slurmstepd-node0: error: Detected 1 oom-kill event(s) in StepId=1.1. Some of your processes ...",
        "slurmstepd: error: Detected 1 oom_kill event in StepId=7.2. Some of the step tasks have ...",
        "srun: error: node0: task 0: Out Of Memory",
    ],
)
def test_what_slurm_writes_of_memory(line: str) -> None:
    assert out_of_memory_line(f"before\n{line}\nbehind\n") == line
    assert out_of_memory_line("srun: error: node0: task 0: Killed\n") == ""
