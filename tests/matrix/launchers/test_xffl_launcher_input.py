"""What is refused before `xffl exec` is called, what it is called with, and hosts that cannot be reached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contract.run import Run
from bench.contract.storage.files import RunFolder, write_document
from bench.host.process import OWNER
from matrix.config.settings.xffl import XfflSettings
from matrix.config.system import load_system
from matrix.errors import InputError
from matrix.host.processes import ask_for_stacks, end_all, owned
from matrix.launchers.base import LaunchError
from matrix.launchers.xffl_exec import XfflLauncher
from matrix.launchers.xffl_scripts import Scripts, passed_on
from matrix.launchers.xffl_site import Site, check_paths, find_site
from tests.support.runs import make_run
from tests.support.standin.places import STANDINS, place
from tests.support.sweeps import PATIENCE, SmallSweep, wait_for

GOLDEN = Path(__file__).parent / "golden" / "xffl-launcher"


@pytest.fixture
def xffl_run(tmp_path: Path) -> Run:
    """Two nodes of three ranks."""
    return make_run(tmp_path / "data", (1, 1, 6)).model_copy(update={"launcher": "xffl", "id": "llama-tiny.fsdp"})


def system(tmp_path: Path, xffl: str, more: str = "nodes: 2") -> Path:
    path = tmp_path / "system.yaml"
    path.write_text(f"{{name: x, device: cpu, {more}, ranks_per_node: 1, launcher: xffl, xffl: {xffl}}}")
    return path


@pytest.mark.parametrize(
    ("xffl", "fault"),
    [
        ("{hosts: [one]}", "xffl.hosts: lists 1 hosts for 2 nodes: list one per node, or lower 'nodes'"),
        ("{host: [one]}", "xffl.host: is not a known key (did you mean 'hosts'?)"),
    ],
)
def test_a_system_file_that_does_not_agree(tmp_path: Path, xffl: str, fault: str) -> None:
    with pytest.raises(InputError, match=r"system\.yaml:1") as caught:
        load_system(system(tmp_path, xffl))
    assert fault in str(caught.value)


def test_paths_of_a_system_file_begin_at_its_folder(tmp_path: Path) -> None:
    found = load_system(system(tmp_path, "{command: bin/xffl, venv: ../venv, facility: site.sh}")).xffl
    assert (found.command, found.facility) == (f"{tmp_path}/bin/xffl", f"{tmp_path}/site.sh")
    assert found.venv == f"{tmp_path.parent}/venv"
    assert load_system(system(tmp_path, "{command: xffl}")).xffl.command == "xffl"


def test_a_host_for_each_node_and_the_network_they_share() -> None:
    plain = XfflSettings()
    assert plain.hosts_of(3) == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    named = XfflSettings(hosts=["a", "b", "c"])
    assert named.hosts_of(2) == ["a", "b"]
    here = Path(sys.prefix)
    assert Site(plain, here, here, here).network == {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    assert Site(named, here, here, here).network == {}
    named = XfflSettings(hosts=["a"], interface="ib0")
    assert Site(named, here, here, here).network == {"GLOO_SOCKET_IFNAME": "ib0", "NCCL_SOCKET_IFNAME": "ib0"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"command": "/nowhere/xffl"}, "xffl.command: program /nowhere/xffl not found"),
        ({"venv": "/nowhere"}, "xffl.venv: /nowhere is not a virtual environment"),
        ({"facility": "/nowhere/site.sh"}, "xffl.facility: /nowhere/site.sh does not exist"),
    ],
)
def test_what_a_call_needs_and_is_not_there(settings: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        find_site(XfflSettings.model_validate({"command": str(STANDINS / "xffl"), **settings}))
    assert said in str(caught.value)


@pytest.mark.parametrize("folder", ["my results", "a;b", "$HOME", "it's"])
def test_a_path_that_a_shell_would_take_apart_is_refused(tmp_path: Path, xffl_run: Run, folder: str) -> None:
    site = find_site(XfflSettings(command=str(STANDINS / "xffl")))
    with pytest.raises(InputError, match=r"the results folder: .* `xffl exec` does not quote paths"):
        check_paths(site, tmp_path / folder, [xffl_run])
    venv = tmp_path / folder
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "activate").touch()
    site = find_site(XfflSettings(command=str(STANDINS / "xffl"), venv=str(venv)))
    with pytest.raises(InputError, match=r"xffl\.venv: .* `xffl exec` does not quote paths"):
        check_paths(site, tmp_path, [xffl_run])


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "a;b", ""])
def test_a_host_that_is_no_host_is_refused(tmp_path: Path, xffl_run: Run, host: str) -> None:
    site = find_site(XfflSettings(command=str(STANDINS / "xffl"), hosts=["node1", host]))
    with pytest.raises(InputError, match=r"xffl\.hosts: .* is not a valid host name"):
        check_paths(site, tmp_path, [xffl_run])
    check_paths(site, tmp_path, [])


def test_nothing_is_started_where_a_path_cannot_be_passed_on(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "my sweeps"
    folder.mkdir()
    with place(tmp_path, "standin", "standin") as over_ssh:
        sweep = SmallSweep(folder, data, nodes=2, system=over_ssh.system(), variables=over_ssh.variables)
        sweep.write(["fsdp"])
        assert "does not quote paths" in sweep.run(expect=2)
        assert not sweep.results.exists()
        said = sweep.run("--dry-run")
    assert said.count(f"{over_ssh.command} exec ") == 1
    assert "-ws 4 -n 127.0.0.1 127.0.0.2" in said
    assert not sweep.results.exists()


def test_gpus_of_several_nodes_need_hosts_of_their_own(tmp_path: Path, data: Path) -> None:
    gpus = {"launcher": "xffl", "device": "cuda", "xffl": {"command": str(STANDINS / "xffl")}}
    sweep = SmallSweep(tmp_path, data, nodes=2, system=gpus)
    sweep.write(["fsdp"])
    assert "or name other hosts under xffl.hosts" in sweep.run("--dry-run", expect=2)
    gpus["xffl"] |= {"hosts": ["node1", "node2"]}
    sweep.write(["fsdp"])
    assert "-n node1 node2" in sweep.run("--dry-run")


def test_the_scripts_of_a_run(tmp_path: Path, xffl_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with golden files: people read these files and repeat runs with them."""
    for name in passed_on(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("NCCL_DEBUG", "WARN")
    monkeypatch.setenv("HF_HOME", "/cache of mine")
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.chdir(tmp_path)
    settings = XfflSettings(
        hosts=["node1", "node2", "node3"], ssh_options=["-F", "my config"], facility="/site/my modules.sh"
    )
    site = Site(settings, Path("/opt/xffl/bin/xffl"), Path("/opt/xffl"), Path("/usr/bin/ssh"))
    folder = RunFolder(tmp_path / "runs" / xffl_run.id)
    attempt = folder.attempt(1)
    attempt.create()
    scripts = Scripts(xffl_run, folder, attempt, site)
    scripts.write("0123456789abcdef/3-xffl", 23456, {OWNER: "0123456789abcdef/3-xffl"})
    found = {
        f"{file.relative_to(folder.path)}.txt": file.read_text().replace(str(tmp_path), "/sweep")
        for file in folder.path.glob("**/*")
        if file.is_file()
    }
    golden = {str(file.relative_to(GOLDEN)): file.read_text() for file in GOLDEN.glob("**/*") if file.is_file()}
    assert found == golden
    assert os.access(folder.path / "launch.sh", os.X_OK)
    for script in folder.path.glob("**/*.sh"):
        subprocess.run(["bash", "-n", str(script)], check=True)
    assert "secret" not in "".join(found.values())


def test_the_shells_of_a_node_are_known_by_the_script_that_they_were_given() -> None:
    """xFFL gives them no variable of ours. A process that does not listen is not asked for its stack."""
    ours, other = (
        subprocess.Popen(["sleep", "60"], env={"XFFL_FACILITY": f"/x/facility.owner-{name}-3-xffl.sh"})
        for name in ("0a1b", "0a1c")
    )
    try:
        assert wait_for(lambda: list(owned("0a1b/3-xffl")) == [(ours.pid, "0a1b/3-xffl")])
        ask_for_stacks("0a1b/")
        assert ours.poll() is None
        assert end_all("0a1b/3-xffl") == 1
        assert ours.wait(5) == -9
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def test_a_host_that_cannot_be_reached_is_remembered(
    tmp_path: Path, xffl_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left there is not known: the verdict says so, and nothing starts there before it was cleaned."""
    with place(tmp_path, "standin", "standin") as over_ssh:
        for name, value in over_ssh.variables.items():
            monkeypatch.setenv(name, value)
        site = find_site(XfflSettings(command=str(over_ssh.command)))
        launcher = XfflLauncher("0123456789abcdef/1", "", site)
        folder = RunFolder(tmp_path / "runs" / xffl_run.id)
        attempt = folder.attempt(0)
        attempt.create()
        write_document(folder.run, xffl_run)
        refuses = over_ssh.home / "unreachable" / "127.0.0.2"
        refuses.parent.mkdir()

        launched = launcher.start(xffl_run, folder, attempt)
        assert wait_for(lambda: len(list(owned("0123456789abcdef/1-xffl"))) > 2)
        refuses.touch()
        (said,) = launched.stop()
        assert "host 127.0.0.2 could not be reached to end" in said
        assert "Connection refused" in said
        assert not list(owned("0123456789abcdef/")), "what can be reached is ended"
        with pytest.raises(LaunchError, match=r"host 127\.0\.0\.2 could not be reached"):
            launcher.start(xffl_run, folder, attempt)
        one_node = xffl_run.model_copy(update={"nodes": 1, "ranks_per_node": 6})
        assert launcher.start(one_node, folder, attempt).stop() == []
        refuses.unlink()
        assert launcher.start(xffl_run, folder, attempt).stop() == []
        launcher.close()
        assert not list(owned("0123456789abcdef/"))


def test_a_node_that_is_reached_after_the_end_starts_nothing(tmp_path: Path, xffl_run: Run) -> None:
    folder = RunFolder(tmp_path / "runs" / xffl_run.id)
    attempt = folder.attempt(0)
    attempt.create()
    with place(tmp_path, "standin", "standin") as over_ssh:
        site = find_site(XfflSettings(command=str(over_ssh.command)))
        scripts = Scripts(xffl_run, folder, attempt, site)
        scripts.write("0123456789abcdef/1-xffl", 23456, {})
        (attempt.path / "over").touch()
        done = subprocess.run(
            scripts.command(scripts.facility("0123456789abcdef/1-xffl")),
            env=os.environ | over_ssh.variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.count("attempt 0 was ended before this node started") == 2
    assert not list(attempt.ends.iterdir())
