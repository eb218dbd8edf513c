from __future__ import annotations

from bench.host import provenance


def test_environment_by_an_allow_list_and_never_a_secret() -> None:
    environment = {
        "NCCL_ALGO": "Ring",
        "OMP_NUM_THREADS": "4",
        "TORCH_DISTRIBUTED_DEBUG": "OFF",
        "CUDA_VISIBLE_DEVICES": "0",
        "HOME": "/home/someone",
        "WANDB_API_KEY": "no",
        "NCCL_AUTH_TOKEN": "no",
        "CUDA_SECRET": "no",
        "TORCHELASTIC_RUN_ID": "differs from run to run",
        "MASTER_PORT": "20001",
        "FIREWALL": "not libfabric's",
    }
    found = provenance.allowed_environment(environment)
    assert found == {
        "CUDA_VISIBLE_DEVICES": "0",
        "NCCL_ALGO": "Ring",
        "OMP_NUM_THREADS": "4",
        "TORCH_DISTRIBUTED_DEBUG": "OFF",
    }
