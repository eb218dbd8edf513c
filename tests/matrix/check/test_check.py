"""`xffl-bench check` says in a line each what a system needs and has, and its status whether anything is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from matrix.check import environment as environment_of
from matrix.check import hosts, machine
from matrix.check.everything import check
from matrix.check.item import State
from matrix.config.system import SystemFile, load_system
from matrix.xffl.interpreter import installation
from tests.support.heavy_imports import IMPORTS
from tests.support.interpreters import Interpreter, executable
from tests.support.standin.places import place


def test_the_built_in_system_has_what_it_needs_and_the_harness_imports_no_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = IMPORTS.format(arguments=["xffl-bench", "check"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stderr.endswith("heavy: []\n"), done.stderr
    lines = done.stdout.splitlines()
    assert f"✓ Python  ok: {sys.version.split()[0]}, {sys.executable}, with xffl-bench" in lines[0]
    assert lines[1].startswith("✓ torch  ok: 2.")
    assert "- image  not needed: none given; only for ranks in a container" in lines
    assert "GiB free in" in lines[-2]
    assert lines[-1] == "✓ semaphores  ok: they can be made"


class Environment(Interpreter):
    """An environment that a system file names."""

    def system(self, *ssh_options: str, **more: object) -> SystemFile:
        """Two nodes of two ranks, over ssh."""
        path = self.path.parents[2] / "system.yaml"
        keys = {"name": "toy", "device": "cpu", "nodes": 2, "ranks_per_node": 2, "launcher": "xffl"} | more
        xffl = f"{{venv: venv, command: ./venv/bin/xffl, ssh_options: {json.dumps(ssh_options)}}}"
        path.write_text("".join(f"{key}: {value}\n" for key, value in keys.items()) + f"xffl: {xffl}\n")
        return load_system(path)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Environment.make(tmp_path / "venv" / "bin")
    (tmp_path / "venv" / "bin" / "activate").touch()
    executable(tmp_path / "venv" / "bin" / "xffl", "#!/bin/sh\n")
    assert isinstance(made, Environment)
    return made


def lines(system: SystemFile, image: Path | None = None) -> tuple[bool, dict[str, str]]:
    """(whether all is there, lines by what they are about)."""
    printed = StringIO()
    all_there = check(system, image, Path("results"), Console(file=printed, width=40), anew=False)
    return all_there, {line.partition("  ")[0]: line for line in printed.getvalue().splitlines()}


@pytest.mark.parametrize("ssh", ["standin", pytest.param("real", marks=pytest.mark.soak)])
def test_all_that_a_system_over_ssh_needs(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ssh: str
) -> None:
    with place(tmp_path, "standin", ssh) as over_ssh:
        for name, value in over_ssh.variables.items():
            monkeypatch.setenv(name, value)
        all_there, said = lines(environment.system(*over_ssh.ssh_options))
        assert all_there, said
        assert said["✓ xFFL"].startswith(
            "✓ xFFL  ok: xFFL 0.2.2 (digest abc) on cpu: averaging sum, data of groups same, cuda_streams inert, "
            "unequal groups wrong, image mode crashes -> federated runs of engine xffl are refused"
        )
        assert [line.endswith("the same environment as here") for line in said.values()].count(True) == 2
        assert "probing the behaviour of xFFL, which takes about half a minute ..." in said
        assert "trying out" not in str(lines(environment.system(*over_ssh.ssh_options)))


def test_a_host_that_cannot_be_reached_is_missing(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place(tmp_path, "standin", "standin") as over_ssh:
        for name, value in over_ssh.variables.items():
            monkeypatch.setenv(name, value)
        (over_ssh.home / "unreachable").mkdir()
        (over_ssh.home / "unreachable" / "127.0.0.2").touch()
        all_there, said = lines(environment.system())
        assert not all_there
        assert "✓ host 127.0.0.1" in said
        assert "Connection refused -> check the output of: ssh 127.0.0.2 " in said["✗ host 127.0.0.2"]


def test_a_host_with_another_environment_is_told(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place(tmp_path, "standin", "standin") as over_ssh:
        for name, value in over_ssh.variables.items():
            monkeypatch.setenv(name, value)
        here = installation(environment.path)
        (same, _) = hosts.hosts(environment.system(), environment.path, here)
        assert same.state is State.OK
        other = here.model_copy(update={"torch": "2.8.0", "xffl": None})
        (host, _) = hosts.hosts(environment.system(), environment.path, other)
        assert host.state is State.MISSING
        assert host.found == "torch 2.9.0 there and 2.8.0 here; xFFL abc there and none here"
        assert host.remedy == f"install the same versions in {tmp_path / 'venv'} on every host"


def test_what_is_missing_is_named_with_its_remedy(environment: Environment) -> None:
    environment.answers(xffl=False)
    (environment.path.parent / "xffl").unlink()
    all_there, said = lines(environment.system(nodes=1, device="cuda"))
    assert not all_there
    assert "not needed" in said["- xFFL"], "the program may come from another environment"
    assert "not found" in said["✗ xffl exec"]
    assert "none -> each of the 2 ranks per node needs its own GPU" in said["✗ GPUs"]
    assert "✓ torch" in said, "one fault hides no other item"


def test_hosts_that_only_a_job_knows_are_not_looked_for(environment: Environment) -> None:
    _, found = lines(environment.system(scheduler="slurm"))
    assert [name for name in found if " host " in name] == []


def test_a_system_that_has_no_need_of_xffl_does_without(environment: Environment) -> None:
    environment.answers(xffl=False, gpus=("H200", "H200"))
    system = environment.system(launcher="torchrun", device="cpu")
    found = installation(environment.path)
    item = environment_of.xffl(environment.path, found, system, print, anew=False)
    assert item.state is State.NOT_NEEDED
    assert [item.found for item in environment_of.torch(environment.path, system)] == [
        "2.9.0, built for CUDA 13.0",
        "2 x H200",
    ]
    assert hosts.hosts(system, environment.path, found) == []


def test_what_is_not_needed_has_a_short_line_without_a_remedy(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.answers(xffl=False)
    (environment.path.parent / "xffl").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    all_there, said = lines(environment.system(launcher="torchrun"))
    assert all_there, said
    assert [line for line in said.values() if line.startswith("-")] == [
        "- GPUs  not needed: none; only for ranks on GPUs of this machine",
        "- xFFL  not needed: not installed; only for engine: xffl",
        "- xffl exec  not needed: not installed; only for launcher: xffl",
        "- ssh  not needed: not found; only for launcher: xffl",
        "- containers  not needed: no Apptainer or Singularity in PATH; only for an image",
        "- image  not needed: none given; only for ranks in a container",
        "- Slurm  not needed: not available here; only for scheduler: slurm",
    ]
    _, needed = lines(environment.system(launcher="torchrun", scheduler="slurm"), tmp_path / "an.sif")
    assert "load the site's module, install it" in needed["✗ containers"]
    assert " -> " in needed["✗ Slurm"]


def test_an_environment_that_cannot_be_asked_is_one_line(tmp_path: Path, environment: Environment) -> None:
    environment.path.unlink()
    all_there, said = lines(environment.system())
    assert not all_there
    assert f"{environment.path}: cannot be started (No such file or directory)" in said["✗ Python"]
    assert "✓ results" in said


def test_an_image_is_looked_at_where_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.image(tmp_path / "none.sif").state is State.MISSING
    assert machine.image(tmp_path / "$NOT_SET" / "an.sif").remedy == "set $NOT_SET"
    image = tmp_path / "an.sif"
    image.write_bytes(b"0" * (3 << 20))
    assert machine.containers(None).state is State.NOT_NEEDED
    assert machine.containers(image).state is State.MISSING
    assert machine.image(image).found == f"{image}, 3 MiB; its labels cannot be read without Apptainer"


def test_labels_are_told_and_what_is_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As Apptainer 1.4.5 says it.
    labels = {"Commit": "abc123", "xffl-bench.device": "cpu", "org.label-schema.build-arch": "amd64"}
    said = json.dumps({"data": {"attributes": {"labels": labels}}, "type": "container"})
    apptainer = executable(tmp_path / "apptainer", f"#!/bin/sh\necho '{said}'\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    image = tmp_path / "an.sif"
    image.touch()
    assert machine.containers(image).state is State.OK
    assert machine.image(image).found == f"{image}, 0 MiB; Commit=abc123, xffl-bench.device=cpu"
    assert machine.image(image).state is State.OK
    for_gpus = machine.image(image, on_gpus=True)
    assert for_gpus.state is State.MISSING
    assert "--device cuda" in for_gpus.remedy
    executable(apptainer, "#!/bin/sh\necho 'FATAL:   image format not recognized' >&2\nexit 255\n")
    damaged = machine.image(image)
    assert damaged.state is State.MISSING
    assert "image format not recognized" in damaged.found


def test_room_is_looked_for_where_a_folder_would_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.room("results", tmp_path / "not" / "yet").found.endswith(f"free in {tmp_path}")
    (tmp_path / "file").touch()
    assert machine.room("results", tmp_path / "file" / "in it").state is State.MISSING
    monkeypatch.setattr(machine, "LEAST_ROOM", 1 << 60)
    full = machine.room("results", tmp_path)
    assert full.state is State.MISSING
    assert full.remedy.startswith("free at least")
