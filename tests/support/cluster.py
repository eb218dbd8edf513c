"""A Slurm cluster of virtual hosts, seen from outside: the script tests/cluster/vcluster, held by a test.

The test itself stays outside, where it has the real network; what it runs on a host goes into that host's namespaces.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.host.process import OWNER
from tests.support.needs import missing, not_installable
from tests.support.sweeps import PATIENCE, wait_for

SCRIPT = Path(__file__).parents[1] / "cluster" / "vcluster"
PARTS = {
    "munged": "munge",
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ip": "iproute2",
    "tc": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
}
"""Programs, and the packages that hold them."""


def need_parts() -> None:
    """Leave the test out where this machine cannot hold a virtual cluster."""
    lacking = [name for name in PARTS if shutil.which(name) is None]
    if lacking:
        packages = " ".join(dict.fromkeys(PARTS.values()))
        missing(f"for a virtual cluster {', '.join(lacking)}", f"apt-get install --no-install-recommends {packages}")
    if os.geteuid() != 0:
        missing("for a virtual cluster root", "call this test as root")


MEMORY_GROUPS = Path("/sys/fs/cgroup/memory")


def need_memory_groups() -> None:
    """Leave the test out where the kernel has no control groups of version 1, which Slurm uses without systemd."""
    need_parts()
    if not (MEMORY_GROUPS / "release_agent").exists():
        not_installable(f"the memory controller of control groups of version 1 in {MEMORY_GROUPS}", "another kernel")


class Process(subprocess.Popen[str]):
    """A process on a host of the cluster; signals reach it, and not the program that stands between."""

    def send_signal(self, sig: int) -> None:
        self.poll()
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(only_child(self.pid), sig)


class Cluster:
    """The cluster, from its start to its end.

    Attributes:
        folder: settings, logs and state of its daemons.
        nodes: their names.
        ssh_options: what an ssh on one of the hosts needs to reach another, if it does not read /etc/ssh/ssh_config.

    """

    def __init__(self, folder: Path, nodes: int = 4, *, limits_memory: bool = False) -> None:
        """Returns once all nodes are idle."""
        self.folder = folder
        self._groups = [MEMORY_GROUPS / f"slurm_node{index}" for index in range(nodes)] if limits_memory else []
        self.nodes = [f"node{index}" for index in range(nodes)]
        self.ssh_options = ["-F", str(folder / "ssh" / "virtual.conf")]
        # It ends when this pipe is closed, which it is however the test ends.
        command = [str(SCRIPT), str(folder), str(nodes), "sh", "-c", "echo all idle; exec cat"]
        pipe = subprocess.PIPE
        variables = {**os.environ, "VCLUSTER_MEMORY": str(int(limits_memory))}
        self._script = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=variables)
        assert self._script.stdout is not None
        assert self._script.stderr is not None
        if self._script.stdout.readline() != "all idle\n":
            raise RuntimeError(f"no virtual cluster: {self._script.stderr.read()}")
        self._login = only_child(self._script.pid)

    def close(self) -> None:
        """All of it is gone when this returns."""
        if self._script.poll() is None:
            inside = self._inside()
            self._script.kill()
            assert wait_for(lambda: not any(map(alive, inside))), "processes of the virtual cluster are left"
        self._script.communicate()
        for group in self._groups:
            assert wait_for(lambda group=group: removed(group)), f"{group} is left"

    def popen(
        self,
        words: Sequence[str | Path],
        *,
        host: str = "login",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        **popen: Any,
    ) -> Process:
        """Start a program on a host, with `env` besides this process's environment."""
        target = self._login if host == "login" else self.first_process(host)
        enter = ["nsenter", f"--target={target}", "--mount", "--uts", "--net", "--pid", f"--wdns={cwd or Path.cwd()}"]
        variables = {**os.environ, "VCLUSTER": str(self.folder), **(env or {})}
        return Process([*enter, "--", *map(str, words)], text=True, env=variables, **popen)

    def run(
        self,
        words: Sequence[str | Path],
        *,
        host: str = "login",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = PATIENCE,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on a host to its end; standard output and error come back apart."""
        pipe = subprocess.PIPE
        with self.popen(words, host=host, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as one:
            try:
                out, err = one.communicate(timeout=timeout)
            except BaseException:
                one.kill()
                raise
        return subprocess.CompletedProcess(words, one.returncode, out, err)

    def say(self, *words: str | Path) -> str:
        """What a program on the login host prints; its status must be 0."""
        done = self.run(words)
        assert done.returncode == 0, f"{words}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def sbatch(self, script: str, *options: str) -> int:
        """Submit a script of bash; returns the job's number. It prints into the folder's jobs/<number>.out."""
        jobs = self.folder / "jobs"
        jobs.mkdir(exist_ok=True)
        file = jobs / "submitted.sh"
        file.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
        return int(self.say("sbatch", "--parsable", f"--output={jobs}/%j.out", "--open-mode=append", *options, file))

    def printed(self, job: int) -> str:
        """What a job of `sbatch` has printed so far."""
        file = self.folder / "jobs" / f"{job}.out"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def job(self, job: int) -> str:
        """State of a job: PENDING, RUNNING, COMPLETED, ..."""
        return self.say("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")

    def job_becomes(self, job: int, *states: str, within: float = 60) -> str:
        """Wait until a job is in one of these states; returns which."""
        assert wait_for(lambda: self.job(job) in states, within), f"{self.job(job)}, not {states}: {self.printed(job)}"
        return self.job(job)

    def node_state(self, node: str) -> str:
        """State of a node: idle, allocated, mixed, down, ..., with a star where it does not answer."""
        return self.say("sinfo", "--noheader", "--partition=main", f"--nodes={node}", "--format=%T")

    def power_cut(self, node: str) -> None:
        """All processes of a node are gone at once, and no packet tells the others."""
        self.say(SCRIPT, "cut", node)

    def boot(self, node: str) -> None:
        """Start a node after a power cut, and wait until Slurm gives it jobs again and the other nodes reach it."""
        self.say(SCRIPT, "boot", node)
        assert wait_for(lambda: self._listens(node)), f"{node} does not start"
        assert wait_for(lambda: self.node_state(node) == "idle"), self.node_state(node)
        for other in filter(self.first_process, self.nodes):
            assert wait_for(lambda other=other: self._reaches(other, node)), f"{other} does not reach {node}"

    def unplug(self, node: str) -> None:
        """Nothing reaches the node any more, and what runs there goes on."""
        self.say("ip", "link", "set", f"port-{node}", "down")

    def plug(self, node: str) -> None:
        """The other way round."""
        self.say("ip", "link", "set", f"port-{node}", "up")

    def configure(self, **settings: int) -> None:
        """Change settings of Slurm."""
        file = self.folder / "slurm" / "slurm.conf"
        text = file.read_text(encoding="utf-8")
        for name, value in settings.items():
            text, found = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
            assert found == 1, name
        file.write_text(text, encoding="utf-8")
        self.say("scontrol", "reconfigure")

    def restore(self) -> None:
        """No jobs, all nodes idle, and links that are not shaped."""
        self.say("scancel", "--user=root")
        for node in self.nodes:
            if self.node_state(node).startswith(("down", "drain")) and self.first_process(node):
                self.say("scontrol", "update", f"nodename={node}", "state=resume")
            if not self.first_process(node):
                self.boot(node)
            elif self._settled_state(node) != "idle":
                # Slurm may wait for minutes before it asks a node again that did not answer.
                self.power_cut(node)
                self.boot(node)
        self.shape("off")
        states = {node: self.node_state(node) for node in self.nodes}
        assert set(states.values()) == {"idle"}, states

    def _settled_state(self, node: str) -> str:
        """State of a node once it is idle or Slurm does not reach it, or after a while."""
        wait_for(lambda: self.node_state(node) == "idle" or self.node_state(node).endswith("*"), 15)
        return self.node_state(node)

    def shape(self, rate: str, *nodes: str) -> None:
        """What the links of nodes (of all) carry: "200mbit", or "off". Loopback stays as it is."""
        self.say(SCRIPT, "shape", rate, *nodes)

    def processes(self, mark: str) -> list[int]:
        """Processes on any host that belong to an owner who begins so; pids as this test sees them."""
        wanted = f"\0{OWNER}={mark}".encode()
        return [pid for pid in self._inside() if wanted in b"\0" + read(f"/proc/{pid}/environ") and alive(pid)]

    def _inside(self) -> list[int]:
        """All processes of the cluster: those that the login host's first process begot, or that entered a host."""
        hosts = {network(pid) for pid in (self._login, *map(self.first_process, self.nodes)) if alive(pid)}
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if network(pid) in hosts]

    def _listens(self, node: str) -> bool:
        """Whether slurmd and sshd answer there."""
        sockets = read(f"/proc/{self.first_process(node)}/net/tcp")
        return all(b":%04X 00000000:0000 0A " % port in sockets for port in (6818, 22))

    def _reaches(self, host: str, node: str) -> bool:
        """Whether a connection from a host to a node's slurmd comes about."""
        return self.run(["timeout", "5", "bash", "-c", f"exec 3<>/dev/tcp/{node}/6818"], host=host).returncode == 0

    def first_process(self, node: str) -> int:
        """Of a node, as this test sees it; 0 where it has no power."""
        for pid in children(self._login):
            if f"--host\0{node}\0".encode() in read(f"/proc/{pid}/cmdline"):
                return next(iter(children(pid)), 0)
        return 0


def removed(group: Path) -> bool:
    """Remove a control group and those in it; not yet possible where a process has only just ended."""
    with suppress(OSError):
        for inner, _, _ in os.walk(group, topdown=False):
            Path(inner).rmdir()
    return not group.exists()


def read(path: str) -> bytes:
    """A file of /proc, empty where its process has gone."""
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def network(pid: int) -> str | None:
    """Identity of a process's network, None of one that is gone or not ours to look at."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def children(pid: int) -> list[int]:
    return [int(each) for each in read(f"/proc/{pid}/task/{pid}/children").split()]


def only_child(pid: int) -> int:
    """Of a program that stands between: it has none before it has begun."""
    found = wait_for(lambda: children(pid), 10)
    assert isinstance(found, list)
    if not found:
        raise ProcessLookupError(f"{pid} has no child")
    (child,) = found
    return int(child)


def alive(pid: int) -> bool:
    return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"], [b"X"])
