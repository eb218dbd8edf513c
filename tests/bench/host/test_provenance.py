from __future__ import annotations

from pathlib import Path

import pytest

from bench.host.software import provenance


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


X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 7763 64-Core Processor
flags\t\t: fpu vme

processor\t: 1
model name\t: AMD EPYC 7763 64-Core Processor
"""
ARM = """processor\t: 0
BogoMIPS\t: 2000.00
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd4f
"""


def test_the_processor_is_named_and_on_arm_by_its_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    file = tmp_path / "cpuinfo"
    for text, model in (
        (X86, "AMD EPYC 7763 64-Core Processor"),
        (ARM, "aarch64 implementer 0x41 part 0xd4f"),
        ("processor: 0\n", "aarch64"),
    ):
        file.write_text(text)
        assert provenance.cpu_model(file) == model
    assert provenance.cpu_model(), "of this machine"
