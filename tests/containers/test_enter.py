"""The words that bring a rank into an image, and the variables that come along."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.image.apptainer_command import Bind, carried, enter, hidden, scratch
from matrix.image.base import Device

GOLDEN = Path(__file__).parent / "golden"
BINDS = [
    Bind(Path("/data/results/sweep"), writable=True),
    Bind(Path("/data")),
    Bind(Path("/models/a, b"), at=Path("/model")),
]


@pytest.mark.parametrize("device", ["cpu", "cuda", "rocm"])
def test_the_words_before_a_rank(device: Device) -> None:
    variables = {"NCCL_DEBUG": "WARN", "OF_A_USER": "$HOME, `id`"} | scratch(Path("/scratch/job 7"))
    words = enter(Path("/images/bench.sif"), device, BINDS, variables, workdir=Path("/data/results"))
    assert "".join(f"{word}\n" for word in words) == (GOLDEN / f"enter-{device}.txt").read_text()


def test_without_variables_nothing_stands_between_the_image_and_the_command() -> None:
    words = enter(Path("bench.sif"), "cpu", [], {}, workdir=Path("/"), program="singularity")
    assert words == ["singularity", "exec", "--cleanenv", "--no-home", "--pwd", "/", "bench.sif"]


def test_what_ranks_must_know_comes_along_and_nothing_secret() -> None:
    along = {
        "RANK": "3",
        "LOCAL_WORLD_SIZE": "4",
        "MASTER_ADDR": "node1",
        "SLURM_JOB_ID": "17",
        "SLURM_PROCID": "3",
        "NCCL_SOCKET_IFNAME": "ib0",
        "CUDA_VISIBLE_DEVICES": "0,1",
        "OMP_NUM_THREADS": "8",
        "TOKENIZERS_PARALLELISM": "false",
        "XFFL_BENCH_OWNER": "results/a",
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "offline",
    }
    outside = {
        "PATH": "/usr/bin",
        "HOME": "/home/a",
        "LD_PRELOAD": "/lib/a.so",
        "LD_LIBRARY_PATH": "/lib",
        "PYTHONPATH": "/a",
        "XFFL_BENCH_COMMIT": "abc",
        "XFFL_IMAGE": "a.sif",
        "HF_TOKEN": "secret",
        "WANDB_API_KEY": "secret",
        "SLURM_JWT": "secret",
        "NCCL_AUTH": "secret",
        "SLURM_CREDENTIAL": "secret",
    }
    assert carried(along | outside) == along


def test_secrets_go_by_the_environment() -> None:
    given = {"HF_TOKEN": """a$b`c\\d"e""", "NCCL_DEBUG": "WARN"}
    assert hidden(given) == {"APPTAINERENV_HF_TOKEN": r"""a\$b\`c\\d"e"""}
    assert hidden({"HF_TOKEN": "a"}, program="/usr/bin/singularity") == {"SINGULARITYENV_HF_TOKEN": "a"}
