"""The stand-in for `xffl exec` behaves like the real one, with which it is compared if that is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.standin.places import Place, place
from tests.support.sweeps import PATIENCE, kill, wait_for

PROGRAM = """
import json, os, pathlib, sys, time
here = pathlib.Path(__file__).parent
seen = {"environment": dict(os.environ), "arguments": sys.argv, "folder": os.getcwd(), "pid": os.getpid()}
(here / f".{os.environ['RANK']}").write_text(json.dumps(seen))
(here / f".{os.environ['RANK']}").rename(here / f"rank{os.environ['RANK']}.json")
sys.exit(int((here / "status").read_text()) if os.environ["RANK"] == "1" else 0)
"""
WAITS = PROGRAM.replace("sys.exit", "time.sleep(60)\nsys.exit")


@pytest.fixture(params=["standin", "real"])
def either_xffl(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """The stand-in's program or the real one, over ssh that only seems to reach hosts."""
    with place(tmp_path, request.param, "standin") as found:
        yield found


class Call:
    """Three ranks on two nodes, each of which says what it sees."""

    def __init__(self, over_ssh: Place, folder: Path, program: str, status: int = 0) -> None:
        (folder / "training.py").write_text(program)
        (folder / "config.py").touch()
        (folder / "status").write_text(str(status))
        (folder / "facility.sh").write_text(
            'Reset_visible_devices () { VISIBLE_DEVICES=""; }\ntaskset () { shift 2; "$@"; }'
        )
        self._folder = folder
        words = ["exec", "training.py", "config.py", "-f", "facility.sh", "-v", sys.prefix, "-ws", "3"]
        self.process = subprocess.Popen(
            [str(over_ssh.command), *words, "-n", "127.0.0.1", "127.0.0.2"],
            cwd=folder,
            env=os.environ | over_ssh.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ranks(self) -> list[dict[str, Any]]:
        """What the ranks saw, once all have said it."""
        files = [self._folder / f"rank{rank}.json" for rank in range(3)]
        assert wait_for(lambda: all(file.exists() for file in files))
        return [json.loads(file.read_text()) for file in files]


def expected(rank: int, folder: Path, cores: int) -> dict[str, str]:
    node, local = divmod(rank, 2)
    size = 2 - node
    return {
        "RANK": str(rank),
        "ROLE_RANK": str(rank),
        "LOCAL_RANK": str(local),
        "GROUP_RANK": str(node),
        "WORLD_SIZE": "3",
        "ROLE_WORLD_SIZE": "3",
        "LOCAL_WORLD_SIZE": str(size),
        "GROUP_WORLD_SIZE": "2",
        "ROLE_NAME": "default",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
        "OMP_NUM_THREADS": str(cores // size),
        "VIRTUAL_ENV": sys.prefix,
        "XFFL_EXECUTION": "true",
        "XFFL_FACILITY": str(folder / "facility.sh"),
        "XFFL_LOCAL_WORLD_SIZE": str(size),
        "XFFL_NODEID": str(node),
        "XFFL_NUM_NODES": "2",
        "XFFL_START_RANK": str(2 * node),
        "XFFL_VENV": sys.prefix,
        "XFFL_WORLD_SIZE": "3",
        "NCCL_CROSS_NIC": "1",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "TORCH_DISABLE_ADDR2LINE": "1",
        "TORCH_DISTRIBUTED_DEBUG": "DETAIL",
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
        "TORCH_SHOW_CPP_STACKTRACES": "1",
    }


OF_THE_SHELL = {"_", "SHLVL", "PWD", "OLDPWD", "PS1", "VIRTUAL_ENV_PROMPT", "HOME", "PATH", "SHELL", "USER", "LC_CTYPE"}
EMPTY = {"CONTAINER_PLT", "GPU_FLAG", "LS_COLORS"}


@pytest.mark.parametrize("status", [0, 3])
def test_what_ranks_see_and_what_a_call_tells(either_xffl: Place, tmp_path: Path, status: int) -> None:
    call = Call(either_xffl, tmp_path, PROGRAM, status)
    seen = call.ranks()
    assert call.process.wait(PATIENCE) == (1 if status else 0), "of a rank's status it says whether it is 0"
    all_cores = int(subprocess.run(["nproc", "--all"], capture_output=True, text=True, check=True).stdout)
    for rank, each in enumerate(seen):
        found = {name: value for name, value in each["environment"].items() if name not in OF_THE_SHELL | EMPTY}
        assert found.pop("SSH_CONNECTION")
        assert found == expected(rank, tmp_path, all_cores)
        assert each["arguments"] == [str(tmp_path / "training.py")]
        assert each["folder"] == str(either_xffl.home), "not the caller's"


def test_ranks_outlive_the_call(either_xffl: Place, tmp_path: Path) -> None:
    call = Call(either_xffl, tmp_path, WAITS)
    pids = [each["pid"] for each in call.ranks()]
    try:
        kill(pids[0])
        with pytest.raises(subprocess.TimeoutExpired):
            call.process.wait(1)  # it waits for the other node
        kill(call.process.pid)
        call.process.wait(5)
        assert [Path(f"/proc/{pid}").exists() for pid in pids] == [False, True, True]
    finally:
        for pid in pids[1:]:
            kill(pid)
